"""What ClickHouse's refusals mean: told apart into what passes, what a person must mend, and what no retry mends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, StreamFailureError
from clickhouse_connect.driver.exceptions import Error as EngineError
from urllib3 import exceptions as http

from pipeline.errors import SettingsError, UnavailableError

PASSING = {
    3: "UNEXPECTED_END_OF_FILE",
    159: "TIMEOUT_EXCEEDED",
    173: "CANNOT_ALLOCATE_MEMORY",
    198: "DNS_ERROR",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    722: "ASYNC_LOAD_WAIT_FAILED",
    735: "QUERY_WAS_CANCELLED_BY_CLIENT",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}
"""ClickHouse error codes that pass by themselves: the same insert may succeed later. Of all others it never will."""
NOT_ALLOWED = frozenset({192, 193, 194, 497, 516})
"""Unknown user, wrong, missing or refused password, a right that is lacking: only a person can mend it."""
NO_SPACE = re.compile(r"NOT_ENOUGH_SPACE|No space left on device|Disk quota exceeded|errno: (?:28|122)\b")
"""How the engine says that its disk is full: a write that was begun fails with a code of its own (75, 74, 1001, …)."""
PASSING_STATUS = frozenset({408, 429, *range(500, 600)})
"""What a proxy before ClickHouse answers for it, without an error code of ClickHouse."""


class NotNowError(UnavailableError):
    """ClickHouse can't do it now: do the same again later. What was done of it does no harm."""


def sentence(error: BaseException) -> str:
    """The engine's message as one line, without its stack or version; of a server that wasn't reached, why.

    A full disk is always the same sentence: its figures differ from one attempt to the next.
    """
    if isinstance(error, EngineError) and is_full(error):
        return "the disk under ClickHouse is full (NOT_ENOUGH_SPACE): free some room there, and the store goes on by itself"
    if cause := _transport(error):
        where = re.search(r"\((https?://\S+)\)$", str(error))
        return f"ClickHouse does not answer{' at ' + where[1] if where else ''}: {cause}"
    text = " ".join(str(error).split()).removeprefix("Received ClickHouse exception, ")
    text = re.sub(r"^code: \d+, server response: ", "", text)
    return re.sub(r" \(for url \S+\)$", "", text).partition(" Stack trace:")[0].partition(" (version ")[0][:2000]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Within it the engine's errors become NotNowError, SettingsError, or UnavailableError for what no retry mends.

    `what` isn't possible then: the beginning of a sentence.
    """
    try:
        yield
    except EngineError as error:
        if passes(error):
            raise NotNowError(sentence(error)) from error
        if getattr(error, "code", None) in NOT_ALLOWED:
            raise SettingsError(
                f"{what}, mend user, password or rights (LISTENING_CLICKHOUSE_DSN): {sentence(error)}"
            ) from error
        raise UnavailableError(f"{what}, and no retry would mend it: {sentence(error)}") from error


def passes(error: EngineError) -> bool:
    """Whether the same may succeed later: ClickHouse wasn't reached, broke off, or says something of PASSING."""
    code = getattr(error, "code", None)
    if code is not None:
        return code in PASSING or is_full(error)
    if status := re.match(r"HTTP driver received HTTP status (\d+)", str(error)):
        return int(status[1]) in PASSING_STATUS
    # The client's own complaints (a wrong DSN, an unknown setting) are of other classes, and never pass.
    return type(error) in (DatabaseError, OperationalError, StreamFailureError)


def is_full(error: EngineError) -> bool:
    """Whether ClickHouse itself says that its disk is full, whatever the code."""
    return getattr(error, "code", None) is not None and bool(NO_SPACE.search(str(error)))


def is_away(error: EngineError) -> bool:
    """Whether no answer came from ClickHouse itself."""
    return getattr(error, "code", None) is None and passes(error)


def _transport(error: BaseException) -> str:
    """Why no answer came, empty where one did."""
    cause = error.__cause__
    if isinstance(cause, http.MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    match cause:
        case http.NameResolutionError():  # is a NewConnectionError, and that a ConnectTimeoutError
            return "its name is unknown"
        case http.NewConnectionError():
            return str(getattr(cause.__cause__, "strerror", None) or "no connection").lower()
        case http.ConnectTimeoutError():
            return "no connection in time"
        case http.ReadTimeoutError():
            return "no answer in time"
        case http.ProtocolError():
            return "the connection broke off"
        case http.HTTPError():
            return str(cause)
    return ""
