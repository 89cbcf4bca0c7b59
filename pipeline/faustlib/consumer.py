"""Faust's Kafka consumer, for logs whose readers keep their own position."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol

import structlog
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from pipeline.faustlib.exit import fail
from pipeline.faustlib.fetch import Fetch

log = structlog.get_logger()
_FETCH_MAX_WAIT_MS, _FETCH_MIN_SHARE = 250, 4


class Positions(Protocol):
    """Who knows where each partition goes on: the stages' states."""

    async def restore(self, partitions: frozenset[TP]) -> Mapping[TP, int]:
        """Make the states of newly assigned partitions; the offset at which each goes on."""

    def partitions(self) -> frozenset[TP]:
        """The partitions that have a state."""

    async def reopen(self, tp: TP, consumer: Any) -> None:
        """Restore the partition's state anew and seek to where it goes on. Ends the process where what it needs is gone."""

    def next_offset(self, tp: TP) -> int | None:
        """The offset up to which the output is acknowledged, or None where there is no state."""


class _Forgetful(MutableMapping[TP, int | None]):
    """Faust's read offsets: it drops messages below them and invents gaps above. Here the states decide."""

    def __getitem__(self, _key: TP) -> None:
        return None

    def __setitem__(self, _key: TP, _value: int | None) -> None:
        pass

    def __delitem__(self, _key: TP) -> None:
        pass

    def __iter__(self) -> Iterator[TP]:
        return iter(())

    def __len__(self) -> int:
        return 0


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust fixes the broker's long poll at 1.5 s and one byte. A node answers one fetch at a time, so a poll for quiet
    partitions would hold back the busy ones for that long, and a trickle would come as many tiny batches."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS
        # Of what a partition may bring at most, or a small limit would make every fetch wait.
        consumer._fetch_min_bytes = transport.app.conf.consumer_max_fetch_size // _FETCH_MIN_SHARE
        return consumer


class Consumer(driver.Consumer):  # type: ignore[misc]
    """One item per partition and fetch; positions and commits come from the app's `positions`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Forgetful()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _positions(self) -> Positions:
        positions: Positions = self.app.positions
        return positions

    async def perform_seek(self) -> None:
        """Called when a rebalance is through, before the flow resumes: restore, then seek to where the states go on."""
        generation = self.app.consumer_generation_id
        assigned = frozenset(self.assignment())
        try:
            positions = await self._positions.restore(assigned)
        except Exception as error:
            fail(error)
        if self.app.consumer_generation_id != generation or frozenset(self.assignment()) != assigned:
            return  # another rebalance came between: these states belong to a generation that is over
        if positions:
            await self.seek_wait(dict(positions))
            self._committed_offset.clear()
        self.app.announce()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        # A copy: the live set crosses threads, and emptied on the way it would mean "all partitions".
        active = frozenset(active_partitions or ())
        if not active:
            return {}
        try:
            return await self._thread.getmany(active, timeout)
        except NoOffsetForPartitionError:
            return {}  # newly assigned and nothing committed yet: perform_seek is about to say where it goes on
        except OffsetOutOfRangeError as error:
            await self._stand_up(error.args[0])
            return {}

    async def _stand_up(self, gone: Mapping[TP, int]) -> None:
        """A position is gone. Nobody jumps: what the logs say now decides whether anything is lost. A worker that was
        stopped for long finds others far ahead and the log cut behind them, and goes on; else its restore refuses."""
        for place, offset in gone.items():
            tp = TP(place.topic, place.partition)
            begins = (await self.earliest_offsets(tp)).get(tp)
            log.warning("a position is gone, restoring", topic=tp.topic, partition=tp.partition, was=offset, begins=begins)
            await self._positions.reopen(tp, self)

    def _to_message(self, tp: TP, record: Fetch) -> ConsumerMessage:
        return ConsumerMessage(
            record.topic, record.partition, record.offset, 0.0, 0, None, None, record, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        pass

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:
        return [tp for tp in self._positions.partitions() if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        """What may be committed: the state's account, never Faust's own."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._positions.next_offset(tp)


class Transport(driver.Transport):  # type: ignore[misc]
    Consumer = Consumer
