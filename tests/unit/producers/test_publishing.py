"""Each answer of the broker stands at the row of its record, and only what may have been sent counts as handed over."""

import random
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError

from pipeline.settings import load
from producers.interrupt import Interrupt
from producers.ledger import Answers, Status
from producers.publish import events
from producers.publish.events import EventPublisher, Outgoing


class Message:
    """What a delivery callback is given."""

    def __init__(self, partition: int, offset: int) -> None:
        self._partition, self._offset = partition, offset

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset


class Broker:
    """Takes records, and answers all when it is flushed, in an order of its own; `errors`: by value, what it answers."""

    def __init__(self, errors: dict[bytes, int] | None = None, room: int = 10**9) -> None:
        self._errors, self._room = errors or {}, room
        self._waiting: list[tuple[Any, int, bytes, int]] = []
        self.log: dict[tuple[int, int], tuple[bytes, bytes, int]] = {}

    def produce(self, _topic: str, value: bytes, key: bytes, partition: int, callback: Any, _alias: Any, date: int) -> None:
        if len(self._waiting) >= self._room:
            raise BufferError
        partition = len(value) % 3 if partition == -1 else partition
        offset = sum(at[0] == partition for at in self.log)
        self.log[partition, offset] = key, value, date
        self._waiting.append((callback, partition, value, offset))

    def flush(self, _seconds: float) -> int:
        random.Random(1).shuffle(self._waiting)
        for callback, partition, value, offset in self._waiting:
            error = KafkaError(self._errors[value]) if value in self._errors else None
            callback(error, Message(partition, offset))
        self._waiting.clear()
        return 0

    def poll(self, _seconds: float) -> None:
        if len(self._waiting) >= self._room:
            self.flush(0)

    def __len__(self) -> int:
        return len(self._waiting)


def publisher(monkeypatch: pytest.MonkeyPatch, broker: Broker, interrupt: Any = None) -> EventPublisher:
    monkeypatch.setattr(events, "kafka_producer", lambda *_: broker)
    return EventPublisher(load(), cast(Interrupt, interrupt or Interrupt()))


def part(name: str, rows: int) -> Outgoing:
    values: list[bytes | None] = [f"{name}{row}".encode() for row in range(rows)]
    keys = [f"key of {name}{row}".encode() for row in range(rows)]
    return Outgoing(keys, values, [2 if row % 7 == 0 else -1 for row in range(rows)], list(range(rows)))


@pytest.mark.parametrize("room", [5, 10**9])
def test_answers_stand_at_the_rows_of_their_records_in_every_part(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    broker = Broker(room=room)
    sender = publisher(monkeypatch, broker)
    for outgoing in (part("a", 40), part("b", 90), part("c", 10)):
        rows = len(outgoing.keys)
        answers = Answers.awaited(rows)
        sender.send(outgoing, 3, answers)
        sender.send(outgoing, rows - 3, answers)
        sender.flush()
        assert (answers.handed, answers.status) == (rows, [Status.ACKNOWLEDGED] * rows)
        for row, place in enumerate(zip(answers.partition, answers.offset, strict=True)):
            record = broker.log[cast("tuple[int, int]", place)]
            assert record == (outgoing.keys[row], outgoing.values[row], outgoing.dates[row])
            assert outgoing.partitions[row] in (-1, place[0])


def test_answers_of_a_part_that_come_when_the_next_one_begins_stay_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = publisher(monkeypatch, Broker())
    first, second = Answers.awaited(5), Answers.awaited(5)
    sender.send(part("a", 5), 5, first)
    sender.send(part("b", 5), 5, second)
    assert first.status == [Status.ACKNOWLEDGED] * 5
    assert second.status == [Status.UNKNOWN] * 5


def test_refused_records_are_failed_and_those_without_a_certain_word_stay_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = publisher(monkeypatch, Broker({b"a1": KafkaError.MSG_SIZE_TOO_LARGE, b"a3": KafkaError._MSG_TIMED_OUT}))
    answers = Answers.awaited(4)
    sender.send(part("a", 4), 4, answers)
    sender.flush()
    assert answers.status == [Status.ACKNOWLEDGED, Status.FAILED, Status.ACKNOWLEDGED, Status.UNKNOWN]
    assert [offset is None for offset in answers.offset] == [False, True, False, True]


def test_of_an_interrupted_part_only_what_was_sent_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Struck:
        looks = 0

        def check(self) -> None:
            self.looks += 1
            if self.looks == 2:
                raise KeyboardInterrupt

    broker = Broker()
    sender = publisher(monkeypatch, broker, Struck())
    answers = Answers.awaited(2_000)
    with pytest.raises(KeyboardInterrupt):
        sender.send(part("a", 2_000), 2_000, answers)
    assert 0 < answers.handed == len(broker.log) < 2_000
