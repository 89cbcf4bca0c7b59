"""The last records of many partitions, read at once and within a bound: their headers, never their values."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from pipeline.codec.headers import PlaysHeaders, headers_of
from pipeline.doctor.facts import Bounds, Newest
from pipeline.errors import UnavailableError

_LOOKS = (1, 16, 256)
"""Records from the end of `plays`, further and further back: those of other writers may lie behind the last valid one."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Tail:
    """A record of a tail, without its value."""

    partition: int
    offset: int
    headers: list[tuple[str, Any]]


def newest_valid(bootstrap: str, topic: str, ranges: Mapping[int, Bounds], left: Callable[[], float]) -> Newest:
    """The newest valid `plays` record of each partition. `left`: seconds that it may still take, raises when none are."""
    found: dict[int, PlaysHeaders] = {}
    for count in _LOOKS:
        wanted = {at: bounds for at, bounds in ranges.items() if at not in found and bounds.high > bounds.low}
        for tail in tails(bootstrap, topic, wanted, count, left):
            headers = PlaysHeaders.valid_at(tail.offset, tail.headers)
            if headers:
                found[tail.partition] = headers
    nameless = tuple(at for at, bounds in sorted(ranges.items()) if at not in found and bounds.high > bounds.low)
    return Newest(found, nameless, _LOOKS[-1])


def tails(bootstrap: str, topic: str, ranges: Mapping[int, Bounds], count: int, left: Callable[[], float]) -> Iterator[Tail]:
    """Up to `count` last records of each partition, in the order of each. Raises UnavailableError when time is over."""
    open_ends = {at: bounds.high for at, bounds in ranges.items() if bounds.high > bounds.low}
    if not open_ends:
        return
    with quiet_consumer(bootstrap) as consumer:
        starts = {at: max(ranges[at].low, high - count) for at, high in open_ends.items()}
        consumer.assign([TopicPartition(topic, at, start) for at, start in starts.items()])
        while open_ends:
            message = consumer.poll(min(_POLL_SECONDS, left()))
            if message is None:
                continue
            error, at = message.error(), message.partition()
            if error is None and at in open_ends and message.offset() < open_ends[at]:
                yield Tail(at, message.offset(), headers_of(message))
            if _is_over(error, message.offset(), open_ends.get(at, 0)):
                open_ends.pop(at, None)


def _is_over(error: Any, offset: int | None, end: int) -> bool:
    """Whether a partition gave what it has. A log cut meanwhile is over too: its start is gone."""
    if error is None:
        return (offset or 0) >= end - 1
    if error.code() in (KafkaError._PARTITION_EOF, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):
        return True
    if error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT):
        return False
    raise UnavailableError(f"the end of a log can't be read: {error.str()}")


@contextmanager
def quiet_consumer(bootstrap: str, group: str = "listening-doctor") -> Iterator[Any]:
    """A consumer that joins no group and commits nothing, closed at the end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            # Required by the client. Its coordinator is looked up even if it isn't used, upon which a broker makes its
            # offsets topic: one that holds records of ours has that long since.
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
            "queued.max.messages.kbytes": 16 << 10,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()
