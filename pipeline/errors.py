"""Errors that a user can mend, and the exit codes that the supervisor acts on."""

from enum import IntEnum


class Exit(IntEnum):
    """Process exit codes (sysexits.h where it has one)."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    RESTART = 70
    """A write failed or a state was lost: the supervisor starts the process again, and the log replays."""
    STAY_DOWN = 78
    """A person must act (settings, rules, data lost): the supervisor leaves the process down."""


class ListeningError(Exception):
    """A sentence for the user: what is wrong, and what to do. Printed without a traceback."""

    exit_code: Exit = Exit.CHECK_FAILED


class SettingsError(ListeningError):
    """A setting is wrong; the sentence names the variable and what it may be."""

    exit_code = Exit.STAY_DOWN


class RefusedError(ListeningError):
    """The process must not go on as things are: differing rules, a cut or recreated topic, another kind of broker time."""

    exit_code = Exit.STAY_DOWN


def damaged(topic: str, partition: int, what: str) -> RefusedError:
    """The error for a log whose bytes are not those that the broker once accepted."""
    return RefusedError(
        f"{topic} partition {partition} is damaged: {what}; nothing from there on can be trusted: restore the broker's disk "
        "from a copy, or start a new run (LISTENING_RUN)"
    )


class UnavailableError(ListeningError):
    """Something that should answer does not: broker, store, registry, network."""

    exit_code = Exit.RESTART
