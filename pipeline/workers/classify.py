"""playback-events ─► decode ─► decide ─► (dead letters) ─► append to plays ─► await ─► next offset

One partition's batch, in this order:
1. decode: the fetch's batches to columns, from the state's next offset on; an unknown schema id is asked of the registry
2. decide: what becomes of each event, folded into the partition's memory
3. dead letters: what is invalid, with its reason, acknowledged first, so that no outcome can outlive its evidence
4. append: one `plays` record with the offset it expects; a refused place means another writer, and the state is restored
5. only now the state's next offset moves, and the consumer's timer may commit it
"""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import polars as pl

from pipeline import admin
from pipeline.codec.decode import Decoded, decode, originals
from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.dedup.decide import forget
from pipeline.errors import RefusedError
from pipeline.faustlib.app import LogApp, build_app, run_worker
from pipeline.faustlib.fetch import Fetch
from pipeline.faustlib.lanes import Lane, LostStateError
from pipeline.log.append import Appender
from pipeline.log.batch import PlaysRecord, classify
from pipeline.log.dead_letters import dead_letter_headers, fitting
from pipeline.log.read import log_reader, undisturbed
from pipeline.log.restore import Restored, restore_memory
from pipeline.metrics import ClassifyMetrics, metrics_file
from pipeline.outcomes import LABELS
from pipeline.registry.of_run import open_registry
from pipeline.registry.registry import Registry
from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.workers.ceiling import Ceiling
from pipeline.workers.schemas import learn

_ROWS_PER_RECORD = 40_000
"""Most source offsets in one `plays` record: about 4 MB before compression."""


_DECODER = ThreadPoolExecutor(1, thread_name_prefix="decode")
"""Decodes one partition's fetch, mostly without the interpreter's lock, while another's is decided."""


class ClassifyLane:
    """A source partition: its memory, and the place in `plays` that the next record must get."""

    def __init__(
        self,
        settings: Settings,
        partition: int,
        restored: Restored,
        source: str,
        appender: Appender,
        metrics: ClassifyMetrics,
        registry: Registry,
    ) -> None:
        self._settings, self._topics, self._rules = settings, topics_of(settings), settings.rules
        self._partition, self._appender, self._metrics = partition, appender, metrics
        self._source, self._registry, self._known = source, registry, Known()
        self._memory, self._at = restored.memory, restored.at
        self._durable = restored.memory.next_offset
        self._ceiling = Ceiling(settings.dlq_ceiling_ratio, settings.dlq_ceiling_events, settings.dlq_ceiling_consecutive)

    @property
    def next_offset(self) -> int:
        return self._durable

    async def take(self, fetch: Fetch) -> None:
        with self._metrics.at_work():
            await self._take(fetch)

    async def idle(self) -> None:
        self._metrics.write()

    async def _take(self, fetch: Fetch) -> None:
        self._check_dates(fetch)
        decoded = await self._decode(fetch)
        self._metrics.columnar.inc(decoded.columnar)
        for part in _parts(decoded):
            record = classify(self._memory, part, self._rules)
            await self._write_dead_letters(fetch, part)
            await self._append(record)
            self._durable = record.last + 1
            self._count(part, record)
        forget(self._memory, self._rules)

    async def _decode(self, fetch: Fetch) -> Decoded:
        self._known.forget_refusals()
        work = partial(
            decode,
            fetch.batches,
            self._durable,
            self._partition,
            self._settings.partitions,
            self._rules.max_ahead_ms,
            fast=self._settings.fast_fetch,
            known=self._known,
        )
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(_DECODER, work)
            except UndecidedSchemasError as undecided:
                await learn(self._registry, self._known, undecided.ids)

    async def _append(self, record: PlaysRecord) -> None:
        headers = record.headers(self._at, self._rules.fingerprint, self._source).encode()
        offset = await self._appender.append(
            self._topics.plays.name, self._partition, record.value, headers, timestamp=record.watermark
        )
        if offset != self._at:
            raise LostStateError(f"expected offset {self._at} in plays, got {offset}")
        self._at += 1

    async def _write_dead_letters(self, fetch: Fetch, decoded: Decoded) -> None:
        self._ceiling.count(decoded.events["offset"].to_numpy(), decoded.refused)
        if not decoded.refused:
            return
        records = originals(fetch.batches, [entry.offset for entry in decoded.refused])
        sends = []
        for entry in decoded.refused:
            key, value, headers = fitting(*records[entry.offset])
            marked = dead_letter_headers(headers, self._topics.events.name, self._partition, entry)
            sends.append(self._appender.append(self._topics.dlq.name, self._partition, value, marked, key=key))
        await asyncio.gather(*sends)

    def _check_dates(self, fetch: Fetch) -> None:
        expected = self._settings.append_time
        for batch in fetch.batches:
            if batch.append_time != expected and not batch.control:
                raise RefusedError(
                    f"{fetch.topic} partition {fetch.partition} offset {batch.base} is dated "
                    f"{'by the broker' if batch.append_time else 'by its producer'}, LISTENING_APPEND_TIME={expected} "
                    "says otherwise: the topic's message.timestamp.type was changed, and two clocks don't mix in one log"
                )

    def _count(self, part: Decoded, record: PlaysRecord) -> None:
        metrics = self._metrics
        metrics.acknowledged()
        for label, number in zip(LABELS, record.counts, strict=True):
            metrics.events.labels(label).inc(number)
        metrics.ticks.inc(record.ticks)
        for entry in part.refused:
            metrics.invalid.labels(entry.reason).inc()
        metrics.remembered.labels(self._partition).set(self._memory.seen.size)


def _parts(decoded: Decoded) -> Iterator[Decoded]:
    """The range in pieces that fit into a record each, in order: any split gives the same outcomes."""
    if decoded.last - decoded.first < _ROWS_PER_RECORD:
        yield decoded
        return
    for first in range(decoded.first, decoded.last + 1, _ROWS_PER_RECORD):
        last = min(first + _ROWS_PER_RECORD - 1, decoded.last)
        events = decoded.events.filter(pl.col("offset").is_between(first, last))
        ticks = [tick for tick in decoded.ticks if first <= tick.offset <= last]
        refused = [entry for entry in decoded.refused if first <= entry.offset <= last]
        absent = last - first + 1 - events.height - len(ticks) - len(refused)
        yield Decoded(first, last, events, ticks, refused, absent, decoded.columnar)


def make_app(settings: Settings) -> LogApp:
    """The classify worker of a run."""
    topics, appender = topics_of(settings), Appender(settings.bootstrap)
    registry = open_registry(settings)
    metrics = ClassifyMetrics(metrics_file(settings.run_dir, "classify", os.getpid()))

    def restore(partition: int) -> tuple[Restored, str]:
        source = admin.topic_id(settings, topics.events.name)
        with log_reader(settings.bootstrap) as reader:
            restored = undisturbed(lambda: restore_memory(reader, topics.plays.name, partition, settings.rules))
            low, end = reader.bounds(topics.events.name, partition)
        if end < restored.memory.next_offset or restored.source not in ("", source):
            raise RefusedError(
                f"{topics.events.name} partition {partition} (topic id {source}) ends at {end}, outcomes reach to "
                f"{restored.memory.next_offset} (topic id {restored.source}): the topic was cut or made anew; "
                "start a new run (LISTENING_RUN)"
            )
        if low > restored.memory.next_offset:
            raise RefusedError(
                f"{topics.events.name} partition {partition} begins at offset {low}, outcomes reach to "
                f"{restored.memory.next_offset}: the events at offsets {restored.memory.next_offset} to {low - 1} were "
                "deleted before they were classified, and can't be counted any more; start a new run (LISTENING_RUN)"
            )
        return restored, source

    async def open_lane(partition: int) -> Lane:
        restored, source = await asyncio.to_thread(restore, partition)
        return ClassifyLane(settings, partition, restored, source, appender, metrics, registry)

    return build_app(settings, "classify", {topics.events.name: open_lane}, appender.close)


def main() -> None:
    """Run one classify worker."""
    run_worker(make_app)


if __name__ == "__main__":
    main()
