"""The body of a call: strict JSON in, a list of items out.

Python's own reader takes more than JSON (NaN, UTF-16) and forgets repeated names; what two readers may read differently is
refused here.
"""

import json
from dataclasses import dataclass
from typing import Any

LIST = "events"
"""The name under which a body holds its events, where it is an object."""
SHOWN = 64


class BodyError(ValueError):
    """The body is not what a call may hold; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a call holds, in order: each should be an event."""

    items: list[Any]

    @property
    def all_named(self) -> bool:
        """Whether every item that is an object carries an event_id."""
        return all("event_id" in item for item in self.items if isinstance(item, dict))


def items_in(body: bytes) -> Items:
    """One event, {"events": […]} or […]. Raises BodyError."""
    document = _read(body)
    if isinstance(document, dict) and LIST in document:
        if len(document) > 1:
            raise BodyError(f'beside "{LIST}" nothing else may stand')
        document = document[LIST]
        if not isinstance(document, list):
            raise BodyError(f'"{LIST}" must be an array')
    items = document if isinstance(document, list) else [document]
    if not items:
        raise BodyError("there is no event in it")
    if not isinstance(document, list | dict):
        raise BodyError(f'it must be an event, an array of events or {{"{LIST}": […]}}')
    return Items(items)


def shown(text: object) -> str:
    """What a client sent, as it may be said back to it: short, and encodable whatever it holds."""
    plain = str(text).encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= SHOWN else plain[:SHOWN] + "…"


def _read(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise BodyError(f"it is not UTF-8: byte {error.start} can't stand there") from None
    except RecursionError:
        raise BodyError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BodyError(f"it is no JSON: {error.msg} at character {error.pos}") from None
    except BodyError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise BodyError("it holds a number that nobody can mean") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BodyError(f"the name {shown(name)!r} stands twice in one object")
            seen.add(name)
    return found


def _no_number(text: str) -> None:
    raise BodyError(f"{text} is no number in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)
