"""The checks that aren't plain row by row: what each batch says of its range, watermarks, and conservation."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline.outcomes import Outcome
from pipeline.verify.recompute import ABSENT, TICK, PartitionFold, Recomputed
from pipeline.verify.tables import BATCH_OUTCOMES
from pipeline.verify.verdict import Check, check_of, moment

Batch = dict[str, Any]


def batches_by_partition(batches: pa.Table) -> dict[int, list[Batch]]:
    """The store's batches, by partition, by first offset."""
    found: dict[int, list[Batch]] = {}
    for batch in batches.to_pylist():
        found.setdefault(batch["source_partition"], []).append(batch)
    return found


def needed(fold: PartitionFold) -> int:
    """The offset up to which batches must reach: a gap at the log's end has no record that would reveal it."""
    return len(bytes(fold.kinds).rstrip(bytes([ABSENT])))


def covered(fold: PartitionFold, batches: list[Batch]) -> int:
    """The offset up to which batches cover the partition from 0 on, without a gap."""
    reached = 0
    for batch in batches:
        if batch["first_offset"] > reached:
            break
        reached = max(reached, batch["last_offset"] + 1)
    return min(reached, needed(fold))


def check_batches(recomputed: Recomputed, batches: pa.Table, growing: bool) -> Check:
    """Contiguity from offset 0 to the last record, and each batch's own numbers. Counted in offsets.

    Where the log is growing, batches may lie past the snapshot, and one that begins below it and ends past it
    covers, but its numbers can't be told.
    """
    found = batches_by_partition(batches)
    sentences: list[str] = []
    agreed = 0
    for fold in recomputed.folds:
        end, reached = recomputed.ends[fold.partition], 0
        for batch in found.pop(fold.partition, []):
            first, last = batch["first_offset"], batch["last_offset"]
            if growing and first >= end:
                break
            wrong = [f"begins at {first}, expected {reached}"] if first != reached else []
            if last >= end and not growing:
                wrong.append(f"ends at {last}, the log at {end - 1}")
            elif last < end:
                wrong += _wrong_numbers(fold, batch)
            if wrong:
                sentences.append(f"partition {fold.partition}, batch {first} to {last}: {'; '.join(wrong)}")
            else:
                agreed += min(last + 1, needed(fold)) - min(first, needed(fold))
            reached = last + 1
        if reached < needed(fold):
            sentences.append(f"partition {fold.partition}: the batches reach offset {reached}, the log {needed(fold)}")
    sentences += [f"partition {partition}: batches found, no such partition expected" for partition in sorted(found)]
    return check_of("batches", sum(needed(fold) for fold in recomputed.folds), agreed, sentences)


def _wrong_numbers(fold: PartitionFold, batch: Batch) -> Iterator[str]:
    kinds = fold.kinds[batch["first_offset"] : batch["last_offset"] + 1]
    expected = {name: kinds.count(code) for code, name in enumerate(BATCH_OUTCOMES)}
    expected |= {"ticks": kinds.count(TICK), "absent": kinds.count(ABSENT)}
    expected["records"] = len(kinds) - expected["ticks"] - expected["absent"]
    for name, number in expected.items():
        if batch[name] != number:
            yield f"{name} is {batch[name]}, expected {number}"
    watermark = fold.watermarks[batch["last_offset"]]
    if batch["watermark"] != watermark:
        yield f"watermark is {moment(batch['watermark'])}, expected {moment(watermark)}"


def check_watermarks(recomputed: Recomputed, batches: pa.Table, growing: bool) -> Check:
    """The newest watermark of each partition, and so the global one. 0 where nothing was heard."""
    found = batches_by_partition(batches)
    sentences = []
    for fold in recomputed.folds:
        end = recomputed.ends[fold.partition]
        inside = [batch for batch in found.get(fold.partition, []) if batch["last_offset"] < end or not growing]
        newest = max((batch["watermark"] for batch in inside), default=0)
        # In a log that grows the last batch inside may end before the snapshot: the watermark is judged there.
        last = max((batch["last_offset"] for batch in inside), default=-1)
        straddled = growing and 0 <= last < needed(fold) - 1
        watermark = fold.watermarks[last] if straddled else fold.watermark
        if newest != watermark:
            sentences.append(f"partition {fold.partition}: {moment(newest)} found, {moment(watermark)} expected")
    folds = len(recomputed.folds)
    return check_of("watermarks", folds, folds - len(sentences), sentences)


def check_conservation(recomputed: Recomputed, batches: pa.Table, counts: pa.Table, growing: bool) -> Check:
    """By the store's own numbers, per partition: offsets = records + ticks + absent, records = the sum of outcomes,
    accepted = the sum of artist_counts (not told of a log that grows). Two or three equations a partition."""
    found = batches_by_partition(batches)
    plays: dict[int, int] = {}
    for partition, number in zip(counts["source_partition"].to_pylist(), counts["plays"].to_pylist(), strict=True):
        plays[partition] = plays.get(partition, 0) + number
    sentences = []
    for fold in recomputed.folds:
        mine = found.get(fold.partition, [])
        sums = {name: sum(batch[name] for batch in mine) for name in ("records", "ticks", "absent", *BATCH_OUTCOMES)}
        # Of a log that stands still, all offsets; of one that grows, those that the store has by now.
        offsets = max((batch["last_offset"] + 1 for batch in mine), default=0)
        offsets = offsets if growing else max(offsets, needed(fold))
        place = f"partition {fold.partition}"
        parts = {name: sums[name] for name in ("records", "ticks", "absent")}
        if offsets != sum(parts.values()):
            told = " + ".join(f"{number} {name}" for name, number in parts.items())
            sentences.append(f"{place}: {offsets} offsets are not {told}")
        outcomes = sum(sums[name] for name in BATCH_OUTCOMES)
        if sums["records"] != outcomes:
            sentences.append(f"{place}: {sums['records']} records are not the {outcomes} that the outcomes add up to")
        accepted = sums[BATCH_OUTCOMES[Outcome.ACCEPTED]]
        if not growing and accepted != plays.get(fold.partition, 0):
            sentences.append(f"{place}: {accepted} accepted, artist_counts add up to {plays.get(fold.partition, 0)}")
    equations = (2 if growing else 3) * len(recomputed.folds)
    return check_of("conservation", equations, equations - len(sentences), sentences)
