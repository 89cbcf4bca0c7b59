"""Clients of the store's engine: embedded in this process, or a server by DSN."""

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TextIO

import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error as EngineError

from pipeline.errors import RefusedError, SettingsError, UnavailableError
from pipeline.room import STORE_KEEPS, require_room
from pipeline.settings import Settings
from pipeline.store.disk import ENGINE_OPTIONS
from pipeline.store.refusals import NotNowError, is_away, sentence, translated

OWN_SETTINGS = {
    # On by default since 26.3: an insert would return before its rows can be read, or be merged with others'.
    "async_insert": "0",
    # One core's worth a client, and less memory: the sink's inserts are small, and others share the machine.
    "max_threads": "1",
    "max_insert_threads": "1",
    "input_format_parallel_parsing": "0",
    # A null in a column that has none is an error here, not a zero.
    "input_format_null_as_default": "0",
}
GUEST_SETTINGS = {
    "max_threads": "2",
    "max_execution_time": "30",
    "max_rows_to_read": "2000000000",
    "max_result_rows": "5000000",
    "max_result_bytes": str(512 << 20),
    "result_overflow_mode": "throw",
    "max_memory_usage": str(1 << 30),
    # Planning is under no limit of time: WITHs and aliases that double each other must not unfold to a million nodes.
    "max_expanded_ast_elements": "50000",
    # Last: after it nothing can be set.
    "readonly": "1",
}
GUESTS = 4
"""User queries that run at once."""
READERS = 5
"""Questions of our own API that run at once, whatever users ask beside it."""
GUEST_WAIT_SECONDS = 20.0
CONNECT_SECONDS = 5
ANSWER_SECONDS = 30
"""How long a server may be silent while it answers us; it says that it is at work every 25 s."""
GUEST_ANSWER_SECONDS = 40
"""Above the engine's own limit for a guest's query."""
PING_SECONDS = 2
"""How long a guest waits to hear that a server is there; it is asked twice."""


def open_client(
    settings: Settings,
    database: str | None = None,
    engine_settings: Mapping[str, str] = OWN_SETTINGS,
    answer_seconds: int = ANSWER_SECONDS,
) -> Any:
    """A client of the engine of this run, with a session of its own. A client serialises its calls.

    Raises NotNowError where a server does not answer, SettingsError where it refuses the user, RefusedError where the
    embedded engine can't open its folder.
    """
    if settings.clickhouse_dsn:
        try:
            with translated("ClickHouse can't be used"):
                return clickhouse_connect.get_client(
                    dsn=settings.clickhouse_dsn,
                    database=database or "default",
                    settings=dict(engine_settings),
                    autogenerate_session_id=False,
                    connect_timeout=CONNECT_SECONDS,
                    send_receive_timeout=answer_seconds,
                )
        except (ValueError, TypeError) as error:
            # Without its text: of a password with a / in it that names a part.
            raise SettingsError(
                f"LISTENING_CLICKHOUSE_DSN can't be used ({type(error).__name__}): it must look like "
                "clickhouse://user:password@host:8123/database, with %XX for what is special in a password"
            ) from None
    path = settings.store_dir
    try:
        client = clickhouse_connect.get_client(
            interface="chdb", path=str(path), database=database, chdb_options=ENGINE_OPTIONS
        )
        # One by one and in this order, where get_client would set them in another.
        for name, value in engine_settings.items():
            client.set_client_setting(name, value)
    except EngineError as error:
        raise RefusedError(f"the embedded ClickHouse can't open {path}: {sentence(error)}") from error
    return client


class Pool:
    """The run's clients: `base` keeps the embedded engine alive, writers get one each, readers share a few.

    A server need not be there when the pool is made, nor room on the embedded engine's disk: `base` then connects when it is
    next asked for.

    Inserts never wait for reads: each client has a session and a lock of its own. Closing the pool closes all clients.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises RefusedError where another process has the embedded store open."""
        self._settings = settings
        self._lock = None if settings.clickhouse_dsn else _own(settings)
        self._clients: list[Any] = []
        if not settings.clickhouse_dsn:
            try:
                with suppress(NotNowError):
                    _ = self.base
            except BaseException:
                self._unlock()
                raise
        self._guests, self._readers = _Seats(self, GUESTS), _Seats(self, READERS)

    @property
    def base(self) -> Any:
        """The client that is there first. Raises as `open_client`, and NotNowError where the embedded one's disk is full."""
        if not self._clients:
            if not self._settings.clickhouse_dsn:
                self._require_room()
            self._clients.append(open_client(self._settings))
        return self._clients[0]

    @property
    def is_remote(self) -> bool:
        """Whether the engine is a server's."""
        return bool(self._settings.clickhouse_dsn)

    @property
    def version(self) -> str:
        """The engine's; empty while it isn't open, or no server was reached."""
        return str(self._clients[0].server_version) if self._clients else ""

    def writer(self) -> Any:
        """A client for one thread that inserts. Raises as `open_client`."""
        client = open_client(self._settings, self._settings.database)
        self._clients.append(client)
        return client

    def guest(self) -> AbstractContextManager[Any]:
        """A read-only, limited client for user SQL, thrown away after any error (one may stay spoilt).

        Raises UnavailableError where all are busy for GUEST_WAIT_SECONDS, or a server is away.
        """
        return self._guests.taken()

    def reader(self) -> AbstractContextManager[Any]:
        """As `guest`, of another few: for questions that are ours, which a user's long queries must not keep waiting."""
        return self._readers.taken()

    def open_guest(self) -> Any:
        """A new client under a guest's limits. Raises as `open_client`."""
        return open_client(self._settings, self._settings.database, GUEST_SETTINGS, GUEST_ANSWER_SECONDS)

    @property
    def busy(self) -> bool:
        """Whether a query is at work: the engine can't be closed under it."""
        return self._guests.busy or self._readers.busy

    def close(self) -> None:
        """Close all clients that are not in a guest's hands; with the last the embedded engine ends."""
        for client in [*self._guests.idle, *self._readers.idle, *reversed(self._clients)]:
            client.close()
        self._guests.idle.clear()
        self._readers.idle.clear()
        self._clients.clear()
        self._unlock()

    def require_server(self) -> None:
        """A query is worth starting only where somebody is there: else it would find out after many seconds.

        Raises NotNowError.
        """
        if not self._settings.clickhouse_dsn:
            if not self._clients:
                raise NotNowError("the store is not open just now: GET /ready says why")
        elif not (self._clients and self._clients[0].ping(PING_SECONDS)):
            raise NotNowError("ClickHouse does not answer just now: try again later (GET /ready says more)")

    def _require_room(self) -> None:
        try:
            require_room("the store", self._settings.store_dir, STORE_KEEPS)
        except UnavailableError as error:
            raise NotNowError(str(error)) from None

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class _Seats:
    """So many clients under a guest's limits, one a query at work."""

    def __init__(self, pool: Pool, number: int) -> None:
        self._pool, self._number = pool, number
        self._seats = threading.BoundedSemaphore(number)
        self._at_work: set[int] = set()
        self.idle: list[Any] = []

    @property
    def busy(self) -> bool:
        return bool(self._at_work)

    @contextmanager
    def taken(self) -> Iterator[Any]:
        self._pool.require_server()
        if not self._seats.acquire(timeout=GUEST_WAIT_SECONDS):
            raise UnavailableError(f"the store is busy with {self._number} other queries: try again later")
        self._at_work.add(threading.get_ident())
        try:
            try:
                client = self.idle.pop()
            except IndexError:
                client = self._pool.open_guest()
            try:
                yield client
            except BaseException as error:
                client.close()
                if self._pool.is_remote and isinstance(error, EngineError) and is_away(error):
                    raise NotNowError(sentence(error)) from error
                raise
            self.idle.append(client)
        finally:
            self._at_work.discard(threading.get_ident())
            self._seats.release()


def _own(settings: Settings) -> TextIO:
    """Lock the run's store for this process. The engine locks its folder too, but can't say so in a sentence."""
    path = settings.run_dir / "store.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise RefusedError(
            f"another process (pid {owner}) has the store of run {settings.run} open: ask it by `listening sql`, "
            "or end its `listening up`, or choose another run by LISTENING_RUN"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
