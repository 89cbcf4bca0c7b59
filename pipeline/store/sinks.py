"""The sinks of all topics, a thread each: they live and die together.

plays, artist-counts, top-artists, artists ─► sink ─► ClickHouse
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from pipeline import admin
from pipeline.errors import Exit, ListeningError
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.disk import DistrustfulWriter
from pipeline.store.positions import Committed, held
from pipeline.store.readers import ArtistsReader, CountsReader, PlaysReader, TopsReader
from pipeline.store.records import Reader
from pipeline.store.refusals import translated
from pipeline.store.retention import Trimmer
from pipeline.store.sink import Progress, Sink
from pipeline.store.trouble import Troubles, patiently
from pipeline.store.writer import ClickHouseWriter, Writer
from pipeline.topics import Topic, topics_of

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the sinks ended, and the exit code that follows from it."""

    sentence: str
    exit_code: int


def _clickhouse_writer(client: Any, database: str) -> Writer:
    return ClickHouseWriter(client, database)


class Sinks:
    """Starts a thread per topic; the first that fails stops them all, and `failure` says why."""

    def __init__(
        self, settings: Settings, pool: Pool, make_writer: Callable[[Any, str], Writer] = _clickhouse_writer
    ) -> None:
        self._settings, self._pool, self._make_writer = settings, pool, make_writer
        self._stop, self._troubles = threading.Event(), Troubles()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.progress: dict[str, Progress] = {}
        """Kind of topic (`plays`, …) → how far its sink is."""
        self.waits_for = ""
        """Before the sinks have begun: what ClickHouse lacks for it."""
        self.failure: Failure | None = None
        self.ended = threading.Event()

    def wait_for(self, ask: Callable[[], T]) -> T:
        """The answer of ClickHouse before the sinks have begun, however long it is away. Raises as `patiently` does."""

        def say(reason: str) -> None:
            self.waits_for = reason
            self._troubles.begin("start", reason)

        answer = patiently(ask, stop=self._stop, idle=self._stop.wait, say=say)
        self.waits_for = ""
        self._troubles.end("start")
        return answer

    def start(self) -> None:
        """Make the run's topics where they are missing, then start the threads. Raises as pipeline.admin does."""
        admin.ensure_topics(self._settings)
        topics, rules = topics_of(self._settings), self._settings.rules.fingerprint
        kinds: list[tuple[str, Topic, Reader]] = [
            ("plays", topics.plays, PlaysReader(rules)),
            ("artist-counts", topics.counts, CountsReader(rules)),
            ("top-artists", topics.tops, TopsReader()),
            ("artists", topics.artists, ArtistsReader()),
        ]
        sinks = [self._sink(kind, topic, reader) for kind, topic, reader in kinds]
        for (kind, _, _), sink in zip(kinds, sinks, strict=True):
            self.progress[kind] = sink.progress
            self._threads.append(threading.Thread(target=self._run, args=(sink,), name=f"sink-{kind}", daemon=True))
        for thread in self._threads:
            thread.start()
        if self._settings.keep_seconds is not None:
            trimmer = Trimmer(self._settings, self.progress, self._stop)
            threading.Thread(target=trimmer.run, name="retention", daemon=True).start()

    def _sink(self, kind: str, topic: Topic, reader: Reader) -> Sink:
        client = self.wait_for(self._pool.writer)

        def is_held(partition: int, committed: Committed) -> bool:
            with translated("ClickHouse can't say what it holds"):
                return held(client, kind, partition, committed)

        writer = self._make_writer(client, self._settings.database)
        if not self._settings.clickhouse_dsn:
            writer = DistrustfulWriter(writer, self._settings.store_dir)
        return Sink(self._settings, topic, reader, writer, is_held, self._stop, self._troubles)

    def _run(self, sink: Sink) -> None:
        try:
            sink.run()
        except ListeningError as error:
            self._fail(str(error), error.exit_code)
        except BaseException as error:
            # A thread must not die in silence: a store that serves but no longer sinks would look well.
            log.exception("a sink failed", topic=sink.progress.topic)
            self._fail(f"the sink of {sink.progress.topic} failed: {type(error).__name__}: {error}", Exit.RESTART)
        finally:
            self.stop()

    def _fail(self, sentence: str, exit_code: int) -> None:
        with self._lock:
            if self.failure is None and not self._stop.is_set():
                self.failure = Failure(sentence, exit_code)

    @property
    def consuming(self) -> bool:
        return bool(self.progress) and all(progress.consuming.is_set() for progress in self.progress.values())

    def stop(self) -> None:
        """Ask all threads to end."""
        self._stop.set()
        self.ended.set()

    def join(self, seconds: float) -> bool:
        """Wait for the threads, `seconds` each at most; whether all have ended."""
        for thread in self._threads:
            thread.join(seconds)
        return not any(thread.is_alive() for thread in self._threads)


def reasons_against(sinks: Sinks) -> list[str]:
    """Why the store is not ready; empty when it is."""
    if sinks.failure:
        return [sinks.failure.sentence]
    if not sinks.progress:
        return [sinks.waits_for or "the sinks are starting"]
    progress = sinks.progress.copy()  # it is being filled, while the store starts
    waiting = [f"the sink of {kind} has not begun" for kind, p in progress.items() if not p.consuming.is_set()]
    troubled = [f"{kind}: {p.trouble}" for kind, p in progress.items() if p.trouble]
    return waiting + troubled
