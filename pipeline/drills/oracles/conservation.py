"""O3: per partition, every source offset became exactly one thing, and log, dead letters and store say the same of it."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.ipc

from pipeline.drills.oracles.batches import OUTCOMES, PARTS, Batch, batch_of
from pipeline.drills.oracles.reading import Raw, ends_of, records
from pipeline.drills.told import Verdict
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.store.ask import rows
from pipeline.topics import topics_of

NAME = "O3 conservation"
SHOWN = 5
PREFIX = "__connect.errors."
OUTLIVED = b"unknown_schema"
"""A letter that may outlive its refusal: its writer died before the outcome, and then the registry had the schema."""
QUERY = (
    "SELECT source_partition, sum(accepted) AS accepted, sum(duplicates) AS duplicate, sum(late) AS late, "
    "sum(skipped) AS skipped, sum(suspect) AS suspect, sum(invalid) AS invalid, sum(ticks) AS ticks, sum(absent) AS absent "
    "FROM batches FINAL GROUP BY source_partition"
)

Place = tuple[int, int]
"""(partition, offset) of a source record."""
Sums = dict[int, dict[str, int]]
"""Partition → how many offsets became what."""


@dataclass
class Folded:
    """What `plays` holds, over all its valid records."""

    sums: dict[int, Counter[str]] = field(default_factory=dict)
    refused: set[Place] = field(default_factory=set)
    batches: int = 0
    ignored: int = 0
    """Records that aren't valid where they lie."""
    rows: int = 0
    wrong: list[str] = field(default_factory=list)


def conservation(settings: Settings, *, seconds: float = 30.0) -> Verdict:
    """Judge a run that is drained. `seconds`: how long the store may take to say the same. Raises as `records`."""
    topics = topics_of(settings)
    ends = ends_of(settings, topics.events.name)
    folded = fold(records(settings, topics.plays.name))
    wrong = folded.wrong + list(_uncovered(settings, ends, folded.sums))
    letters = list(filter(None, (letter_of(raw, topics.events.name) for raw in records(settings, topics.dlq.name))))
    wrong += letter_faults(folded.refused, letters)
    expected = {p: {name: folded.sums.get(p, Counter())[name] for name in PARTS} for p in range(settings.partitions)}
    wrong += _store_faults(settings, expected, seconds)
    totals = sum(folded.sums.values(), Counter[str]())
    figures: dict[str, int | float | str] = {"offsets": sum(ends), **{name: totals[name] for name in PARTS}}
    figures |= {"batches": folded.batches, "ignored": folded.ignored, "rows": folded.rows, "letters": len(letters)}
    figures["letters_repeated"] = len(letters) - len({place for place, _ in letters})
    if wrong:
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        return Verdict(NAME, False, "; ".join(wrong[:SHOWN]) + more, figures)
    told = ", ".join(f"{totals[name]:,} {name}" for name in PARTS if totals[name])
    sentence = f"{sum(ends):,} source offsets = {told or 'nothing'}; rows, {len(letters):,} dead letters and the store agree"
    return Verdict(NAME, True, sentence, figures)


def fold(plays: Iterable[Raw]) -> Folded:
    """Add up the valid records, and compare each one's rows with its headers."""
    folded = Folded()
    for raw in plays:
        batch = batch_of(raw)
        if batch is None:
            folded.ignored += 1
            continue
        folded.batches += 1
        folded.sums.setdefault(batch.partition, Counter()).update(batch.parts)
        folded.wrong += _rows_of(raw, batch, folded)
    return folded


def _table(value: bytes | None) -> pa.Table:
    """Offset and outcome of a container's rows. Raises ArrowException, OSError, KeyError where it is none."""
    if not value:
        return pa.schema({"offset": pa.int64(), "outcome": pa.string()}).empty_table()
    return pa.ipc.open_stream(value).read_all().select(["offset", "outcome"])


def _rows_of(raw: Raw, batch: Batch, folded: Folded) -> Iterator[str]:
    where, found, offsets = f"plays partition {batch.partition}, offset {batch.offset}", Counter[str](), set[int]()
    try:
        for row in _table(raw.value).to_pylist():
            found[row["outcome"]] += 1
            offsets.add(row["offset"])
            if row["outcome"] == "invalid":
                folded.refused.add((batch.partition, row["offset"]))
    except (pa.ArrowException, OSError, KeyError) as error:
        yield f"{where} holds no container ({error})"
        return
    folded.rows += sum(found.values())
    if found != Counter({name: batch.parts[name] for name in OUTCOMES}):
        yield f"{where} holds rows {dict(found)}, its headers say { {name: batch.parts[name] for name in OUTCOMES} }"
    if len(offsets) < sum(found.values()) or any(not batch.first <= offset <= batch.last for offset in offsets):
        yield f"{where} holds rows that are not of {batch.first} to {batch.last}, each once"


def _uncovered(settings: Settings, ends: list[int], sums: dict[int, Counter[str]]) -> Iterator[str]:
    """A marker of a transaction at the log's very end is an offset too, and nothing reveals it yet."""
    covered = {partition: sum(sums.get(partition, Counter()).values()) for partition in range(len(ends))}
    rest = {partition: covered[partition] for partition, end in enumerate(ends) if covered[partition] < end}
    held = Counter(raw.partition for raw in records(settings, topics_of(settings).events.name, rest)) if rest else Counter()
    for partition, end in enumerate(ends):
        if covered[partition] > end or held[partition]:
            yield f"partition {partition}: plays accounts for {covered[partition]:,} of {end:,} source offsets"


def letter_of(raw: Raw, source: str) -> tuple[Place, bytes] | None:
    """Place and reason of a dead letter of this source; None for anybody else's."""
    marks = {
        name: raw.headers.get(PREFIX + name) or b"" for name in ("topic", "partition", "offset", "exception.class.name")
    }
    if marks["topic"] != source.encode() or not (marks["partition"].isdigit() and marks["offset"].isdigit()):
        return None
    return (int(marks["partition"]), int(marks["offset"])), marks["exception.class.name"]


def letter_faults(refused: set[Place], letters: Iterable[tuple[Place, bytes]]) -> list[str]:
    """Invalid rows without a letter, and letters without an invalid row. (A crash may have written one twice.)"""
    reasons = dict(letters)
    missing = sorted(refused - set(reasons))
    extra = sorted(place for place in set(reasons) - refused if reasons[place] != OUTLIVED)
    return [f"partition {p}, offset {o} is invalid and has no dead letter" for p, o in missing] + [
        f"partition {p}, offset {o} has a dead letter and is not invalid" for p, o in extra
    ]


def _store_faults(settings: Settings, expected: Sums, seconds: float) -> list[str]:
    """Differences that are still there after `seconds`: the store may only be late."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = {row["source_partition"]: {name: row[name] for name in PARTS} for row in rows(settings, QUERY)}
            wrong = store_differences(expected, found)
        except UnavailableError as error:
            wrong = [f"the store does not answer ({error})"]
        if not wrong or time.monotonic() > deadline:
            return wrong
        time.sleep(0.5)


def store_differences(expected: Sums, found: Sums) -> list[str]:
    """By partition and name, where `batches` adds up to something else."""
    return [
        f"partition {p}: the store has {found.get(p, {}).get(name, 0):,} {name}, plays {expected.get(p, {}).get(name, 0):,}"
        for p in sorted(expected.keys() | found.keys())
        for name in PARTS
        if found.get(p, {}).get(name, 0) != expected.get(p, {}).get(name, 0)
    ]
