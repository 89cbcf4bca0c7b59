"""What would become of refused records if they were sent again now, under the right key: by the rules that would decide.

letters ─► decode (today's schemas) ─► re-key ─► plausible? ─► a copy of each partition's memory ─► decide ─► fates
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipeline.codec.event_columns import FRAME_SCHEMA
from pipeline.codec.event_fields import NotAnEventError, decode_event
from pipeline.codec.events import key_of
from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.codec.murmur import partition_of_key
from pipeline.codec.plausible import split_implausible
from pipeline.codec.records import RawRecord, row_of
from pipeline.dedup.decide import Memory, decide
from pipeline.dlq.letters import Letter
from pipeline.log.batch import events_of
from pipeline.outcomes import LABELS, Outcome
from pipeline.rules import Rules

STAYS = "stays"
"""The fate of a record that would be refused again."""


@dataclass(frozen=True, slots=True)
class Fate:
    """`outcome`: what the record would end as, or STAYS. `why`: a sentence. `key`, `partition`: under which it would go."""

    letter: Letter
    outcome: str
    why: str
    key: bytes = b""
    partition: int = -1

    @property
    def is_sent(self) -> bool:
        """Worth sending: it would end as an event of its own. A late one is stored and counted as late."""
        return self.outcome not in (STAYS, Outcome.DUPLICATE.label)


def fates_of(
    letters: Sequence[Letter], known: Known, memories: Callable[[int], Memory], rules: Rules, now: int | None
) -> list[Fate]:
    """The fate of each letter, in their order, each as if those before it had been sent.

    `memories`: partition → a copy of what classify knows of it, to be changed. `now`: broker time of the records if the
    broker dates them (epoch ms); None: they keep the time they had. Raises UndecidedSchemasError.
    """
    fates: dict[int, Fate] = {}
    sent: dict[int, list[tuple[int, bytes]]] = {}
    undecided: set[int] = set()
    for number, letter in enumerate(letters):
        try:
            key = _key(letter, known)
            sent.setdefault(partition_of_key(key, rules.partitions), []).append((number, key))
        except NotAnEventError as error:
            fates[number] = Fate(letter, STAYS, f"{error.reason}: {error}")
        except UndecidedSchemasError as error:
            undecided.update(error.ids)  # all of them at once, or each would be a look at all letters
    if undecided:
        raise UndecidedSchemasError(undecided)
    for partition, some in sent.items():
        memory = memories(partition)
        first = memory.next_offset
        rows = [
            _row(letters[number], key, first + place, letters[number].appended_at if now is None else now, known)
            for place, (number, key) in enumerate(some)
        ]
        frame, refused = split_implausible(
            pl.DataFrame(rows, FRAME_SCHEMA, orient="row"), partition, rules.partitions, rules.max_ahead_ms
        )
        for entry in refused:
            number, _ = some[entry.offset - first]
            fates[number] = Fate(letters[number], STAYS, f"{entry.reason}: {entry.message}")
        decided = decide(memory, events_of(frame, rules), [], first + len(some), rules)
        columns = (frame["offset"].to_list(), decided.outcome.tolist(), decided.first_offset.tolist())
        for offset, outcome, first_offset in zip(*columns, strict=True):
            number, key = some[offset - first]
            why = _sentence(Outcome(outcome), partition, first_offset, first, memory.watermark)
            fates[number] = Fate(letters[number], LABELS[outcome], why, key, partition)
    return [fates[number] for number in range(len(letters))]


def _key(letter: Letter, known: Known) -> bytes:
    """The right key of the event. Raises NotAnEventError where there is no event."""
    if letter.value is None:
        what = f"its value of {letter.left_out} bytes was not kept" if letter.left_out else "the value is null"
        raise NotAnEventError("too_large" if letter.left_out else "null_value", what)
    return key_of(decode_event(letter.value, known)["user_id"])


def _row(letter: Letter, key: bytes, offset: int, appended_at: int, known: Known) -> tuple[Any, ...]:
    return row_of(RawRecord(offset, appended_at, key, letter.value, []), known)


def _sentence(outcome: Outcome, partition: int, first_offset: int, end: int, watermark: int) -> str:
    match outcome:
        case Outcome.DUPLICATE if first_offset >= end:
            return "a copy of another letter here"
        case Outcome.DUPLICATE:
            return f"its id lies at partition {partition}, offset {first_offset}: nothing to send"
        case Outcome.LATE:
            return f"partition {partition} is at {_instant(watermark)} already: stored, counted as late"
        case Outcome.SKIPPED:
            return "played too shortly to count"
        case _:
            return f"goes to partition {partition} and counts"


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
