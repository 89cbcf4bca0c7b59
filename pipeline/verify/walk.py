"""A walk over the raw bytes of an event's body: what fastavro reads too kindly, judged byte by byte."""

from dataclasses import dataclass

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1


class InvalidEventError(ValueError):
    """No event of ours; `event_id` where the body could be read that far."""

    def __init__(self, reason: str, event_id: bytes | None = None) -> None:
        super().__init__(reason)
        self.event_id = event_id


@dataclass(frozen=True, slots=True)
class Place:
    """A field as it lies there. `shape`: varint, bytes (a length, then so many) or fixed (`size` bytes). `base`: its Avro
    type; `symbols`: how many an enum has; `null_branch`: which of two branches is null, None where it is no union."""

    shape: str
    size: int
    base: str
    symbols: int
    null_branch: int | None


def walk(body: bytes, places: tuple[Place, ...]) -> None:
    """Raise InvalidEventError where a varint holds more than 64 bits, a length is negative, a union has another branch than
    its two, or, within a union, a value is none of its type. (Outside of unions the decoder judges values.)"""
    at = 0
    for place in places:
        if place.null_branch is not None:
            branch, at = _varint(body, at)
            if branch not in (0, 1):
                raise InvalidEventError(f"branch {branch} of a union of two")
            if branch == place.null_branch:
                continue
        if place.shape == "fixed":
            if place.base == "boolean" and place.null_branch is not None and body[at : at + 1] not in (b"\0", b"\1"):
                raise InvalidEventError("a boolean that is neither true nor false")
            at += place.size
            continue
        number, at = _varint(body, at)
        if place.shape == "bytes":
            if number < 0:
                raise InvalidEventError("a string of negative length")
            if place.base == "string" and place.null_branch is not None:
                _text(body[at : at + number])
            at += number
        elif place.null_branch is not None:
            least, most = {"int": (INT_MIN, INT_MAX), "enum": (0, place.symbols - 1)}.get(place.base, (-(1 << 63), 1 << 63))
            if not least <= number <= most:
                raise InvalidEventError(f"{number} is no {place.base} of this schema")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    raw = shift = 0
    while at < len(body):
        byte = body[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if shift > 70 or raw >> 64:
        raise InvalidEventError("an integer of more than 64 bits")
    return (raw >> 1) ^ -(raw & 1), at


def _text(packed: bytes) -> None:
    try:
        packed.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidEventError("a text that is no UTF-8") from None
