"""Items to events: what the model and the run's rules say of each, so that nothing is published that classify would refuse.

The batch is validated in one call; only where something is wrong, item by item.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID, uuid5

from pydantic import Field, TypeAdapter, ValidationError

from producers.gateway.body import shown
from schemas.model import PlaybackEvent

NAMESPACE = UUID("6f1d0c3e-6a0b-5d0f-9b53-0e6f3a1c7d42")
"""Of ids that the gateway makes. Never change it: a retry would get another id."""
MOST_ERRORS = 10
"""Told of one item."""

IdOf = Callable[[int], UUID]


class Incoming(PlaybackEvent):
    """An event out of parsed JSON, where a UUID is still its text."""

    event_id: Annotated[UUID, Field(strict=False)]


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong with an item. `field`: empty where it is the item as a whole."""

    field: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that is no event. `event_id`: as far as it has one."""

    index: int
    event_id: UUID | None
    errors: tuple[Wrong, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The events by their index in the call, and the refused items; together they are the call."""

    events: dict[int, PlaybackEvent]
    refused: tuple[Refused, ...]


def id_for(key_id: str, idempotency_key: str) -> IdOf:
    """Ids for the items of a call that carry none: the same for every retry of it."""
    base = f"{key_id}\n{idempotency_key}\n"
    return lambda index: uuid5(NAMESPACE, f"{base}{index}")


def check(items: Sequence[Any], *, now_ms: int, max_ahead_ms: int, id_of: IdOf | None) -> Checked:
    """Which items are events. `now_ms`: the gateway's clock, which a missing sent_at takes, and which stands for the
    broker's in the rule of clocks that run ahead. `id_of`: makes the ids that are missing."""
    rows = [_filled(item, index, now_ms, id_of) for index, item in enumerate(items)]
    try:
        events: dict[int, PlaybackEvent] = dict(enumerate(_ALL.validate_python(rows)))
        refused: dict[int, Refused] = {}
    except ValidationError:
        events, refused = _one_by_one(rows)
    latest = now_ms + max_ahead_ms
    for index, event in list(events.items()):
        if event.played_at > latest:
            why = f"lies more than {max_ahead_ms // 1000} s ahead of the gateway's clock: set the client's clock"
            refused[index] = Refused(index, event.event_id, (Wrong("played_at", why),))
            del events[index]
    return Checked(events, tuple(refused[index] for index in sorted(refused)))


def _filled(item: Any, index: int, now_ms: int, id_of: IdOf | None) -> Any:
    if not isinstance(item, dict):
        return item
    missing: dict[str, Any] = {}
    if id_of and "event_id" not in item:
        missing["event_id"] = id_of(index)
    if "sent_at" not in item:
        missing["sent_at"] = now_ms
    return item | missing if missing else item


def _one_by_one(rows: list[Any]) -> tuple[dict[int, PlaybackEvent], dict[int, Refused]]:
    events: dict[int, PlaybackEvent] = {}
    refused = {}
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            refused[index] = Refused(index, None, (Wrong("", "an event is a JSON object"),))
            continue
        try:
            events[index] = _ONE.validate_python(row)
        except ValidationError as error:
            refused[index] = Refused(index, _id_in(row), _errors(error))
    return events, refused


def _errors(error: ValidationError) -> tuple[Wrong, ...]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        Wrong(shown(detail["loc"][0]) if detail["loc"] else "", _why(detail["msg"])) for detail in found[:MOST_ERRORS]
    )


def _why(message: str) -> str:
    return message.removeprefix("Value error, ").encode("utf-8", "backslashreplace").decode()


def _id_in(row: dict[str, Any]) -> UUID | None:
    try:
        return _ID.validate_python(row.get("event_id"))
    except ValidationError:
        return None


_ALL: TypeAdapter[list[Incoming]] = TypeAdapter(list[Incoming])
_ONE: TypeAdapter[Incoming] = TypeAdapter(Incoming)
_ID: TypeAdapter[UUID] = TypeAdapter(UUID)
