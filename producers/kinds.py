"""What a published record is, and in what ways one can be no event."""

from enum import IntEnum


class Kind(IntEnum):
    """What a published record is. Redelivery isn't among them: it happens behind the log."""

    PLAY = 0
    CLIENT_DOUBLE_SEND = 1
    """A copy with the same id and played_at, sent later."""
    PRODUCER_RETRY = 2
    """The same bytes once more, the next record of the partition."""
    UPSTREAM_REPLAY = 3
    """The same bytes once more, when a service sends a stretch of the past again."""
    CROSS_SERVICE = 4
    """Another service's report of the same listen, under an id of its own."""
    POISON = 5
    """No event."""

    @property
    def label(self) -> str:
        return self.name.lower()


class Poison(IntEnum):
    """Why a record can be no event; the names are the pipeline's reasons, as the dead-letter queue shows them."""

    WRONG_MAGIC = 0
    UNKNOWN_SCHEMA = 1
    UNDECODABLE = 2
    """The value ends in the middle of the event."""
    TRAILING_BYTES = 3
    TOO_LARGE = 4
    NULL_VALUE = 5
    """No value, and no header that would make it a tick."""
    WRONG_KEY = 6
    """Under another user's key."""
    MISROUTED = 7
    """In another partition than its key's."""
    IMPLAUSIBLE = 8
    """ms_played is negative."""
    AHEAD = 9
    """Played in a far future."""

    @property
    def label(self) -> str:
        return self.name.lower()


READABLE = frozenset({Poison.TRAILING_BYTES, Poison.WRONG_KEY, Poison.MISROUTED, Poison.IMPLAUSIBLE, Poison.AHEAD})
"""Kinds whose event id can still be read."""
