"""Headers of the derived topics' records: ASCII `name: value` pairs that kcat can read."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, TypeAlias

from pipeline.outcomes import LABELS

RawHeaders: TypeAlias = Iterable[tuple[str, bytes | str | None]]
HeaderList: TypeAlias = list[tuple[str, bytes]]
TICK_HEADER = "listening-tick"


# confluent-kafka 2.16 answers a name that is no UTF-8 with an exception and a list with holes in it, at once. A plain call
# in code that has run a few times takes the list, and the process dies when it is looked at; a call from C is checked.
_headers = methodcaller("headers")


def readable_headers(message: Any) -> list[tuple[str, Any]] | None:
    """Headers of a confluent-kafka message; None where a name is no UTF-8. Ask once: a second answer has holes."""
    try:
        return _headers(message) or []
    except (UnicodeDecodeError, SystemError):
        return None


def headers_of(message: Any) -> list[tuple[str, Any]]:
    """Headers of a confluent-kafka message; none where a name is no UTF-8, which none of ours is."""
    return readable_headers(message) or []


class HeaderError(ValueError):
    """A record of a derived topic lacks a header, or holds one that is no decimal number."""


def _texts(headers: RawHeaders | None) -> dict[str, str]:
    return {
        name: value.decode("ascii", "replace") if isinstance(value, bytes) else value or "" for name, value in headers or ()
    }


def _number(texts: dict[str, str], name: str) -> int:
    try:
        return int(texts[name])
    except (KeyError, ValueError):
        raise HeaderError(f"header {name}={texts.get(name)!r} is no number") from None


@dataclass(frozen=True, slots=True)
class PlaysHeaders:
    """Headers of a `plays` record.

    `at`: the offset in `plays` at which the record is valid. `first`, `last`: the source offsets it covers, inclusive.
    `counts`: rows per outcome, in the order of `Outcome`. `ticks`: ticks in the range; `absent`: offsets of the range
    that hold no record (transaction markers, gaps of the log). `watermark`: as of `last`, epoch ms.
    last - first + 1 = sum(counts) + ticks + absent. `source`: the id of the topic that the offsets are of.
    """

    at: int
    first: int
    last: int
    counts: tuple[int, ...]
    ticks: int
    absent: int
    watermark: int
    rules: str
    source: str = ""

    def encode(self) -> HeaderList:
        numbers = [
            ("at", self.at),
            ("first", self.first),
            ("last", self.last),
            *zip(LABELS, self.counts, strict=True),
            ("ticks", self.ticks),
            ("absent", self.absent),
            ("watermark", self.watermark),
        ]
        texts = [("rules", self.rules.encode()), ("source", self.source.encode())]
        return [*((name, b"%d" % number) for name, number in numbers), *texts]

    @classmethod
    def decode(cls, headers: RawHeaders | None) -> "PlaysHeaders":
        """Raises HeaderError: such a record is no `plays` record, and readers pass over it."""
        texts = _texts(headers)
        decoded = cls(
            at=_number(texts, "at"),
            first=_number(texts, "first"),
            last=_number(texts, "last"),
            counts=tuple(_number(texts, label) for label in LABELS),
            ticks=_number(texts, "ticks"),
            absent=_number(texts, "absent"),
            watermark=_number(texts, "watermark"),
            rules=texts.get("rules", ""),
            source=texts.get("source", ""),
        )
        if decoded.last - decoded.first + 1 != sum(decoded.counts) + decoded.ticks + decoded.absent:
            raise HeaderError(f"offsets {decoded.first} to {decoded.last} are not what the outcomes add up to")
        return decoded

    @classmethod
    def valid_at(cls, offset: int, headers: RawHeaders | None) -> "PlaysHeaders | None":
        """The headers of the record at this offset of `plays`, or None where it is not valid there (rule 3)."""
        try:
            decoded = cls.decode(headers)
        except HeaderError:
            return None
        return decoded if decoded.at == offset else None


@dataclass(frozen=True, slots=True)
class CountsHeaders:
    """Headers of an `artist-counts` record: an announcement is `parts` records, and only the last moves
    `watermark` (of the source partition, epoch ms) and `counted` (last source offset counted).

    It tells of all that changed between the source offsets `first` and `counted`; before `first` the watermark was
    `since` (epoch ms, 0 at the log's beginning). So a reader sees whether what it needs was deleted.
    """

    partition: int
    first: int
    since: int
    counted: int
    watermark: int
    part: int
    parts: int
    rules: str

    def encode(self) -> HeaderList:
        names = ("partition", "first", "since", "counted", "watermark", "part", "parts")
        return [*((name, b"%d" % getattr(self, name)) for name in names), ("rules", self.rules.encode())]

    @classmethod
    def decode(cls, headers: RawHeaders | None) -> "CountsHeaders":
        """Raises HeaderError."""
        texts = _texts(headers)
        partition, first, since, counted, watermark, part, parts = (
            _number(texts, name) for name in ("partition", "first", "since", "counted", "watermark", "part", "parts")
        )
        if not (0 <= first <= counted and since <= watermark and 1 <= part <= parts):
            raise HeaderError(f"part {part} of {parts} on source offsets {first} to {counted} is no announcement")
        return cls(partition, first, since, counted, watermark, part, parts, texts.get("rules", ""))

    @property
    def complete(self) -> bool:
        return self.part == self.parts


@dataclass(frozen=True, slots=True)
class TopHeaders:
    """Headers of a `top-artists` record: the ranked list of [window_end - window_ms, window_end) in one shard.

    `counted`: sum over the source partitions of the last source offset counted; of provisional lists the larger wins,
    a final one outranks them all.
    """

    window_end: int
    window_ms: int
    shard: int
    k: int
    final: bool
    counted: int
    watermark: int

    def encode(self) -> HeaderList:
        names = ("window_end", "window_ms", "shard", "k", "final", "counted", "watermark")
        return [(name, b"%d" % getattr(self, name)) for name in names]

    @classmethod
    def decode(cls, headers: RawHeaders | None) -> "TopHeaders":
        """Raises HeaderError."""
        texts = _texts(headers)
        window_end, window_ms, shard, k, final, counted, watermark = (
            _number(texts, name) for name in ("window_end", "window_ms", "shard", "k", "final", "counted", "watermark")
        )
        return cls(window_end, window_ms, shard, k, bool(final), counted, watermark)

    @property
    def version(self) -> int:
        """Order among lists of the same window and shard, for ReplacingMergeTree: a final one is above all."""
        return 2**63 if self.final else self.counted
