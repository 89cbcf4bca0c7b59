"""The thread that deletes what lies behind every reader: look ─► wait a round ─► delete.

1. what may be deleted, by pipeline/log/retention.py, with the sinks' committed offsets
2. delete what was found a round ago: a reader that looked at its position just before has long begun to read
"""

import threading
from collections.abc import Mapping

import structlog

from pipeline import admin
from pipeline.errors import ListeningError
from pipeline.log.read import log_reader
from pipeline.log.retention import Place, kept_from
from pipeline.settings import Settings
from pipeline.store.sink import Progress
from pipeline.topics import topics_of

_FETCH_BYTES = 1 << 16  # a few records are looked at, and the first of a fetch comes whole in any case
log = structlog.get_logger()


class Trimmer:
    """`run` is the body of its thread. `progress`: of the sinks, by kind of topic."""

    def __init__(self, settings: Settings, progress: Mapping[str, Progress], stop: threading.Event) -> None:
        assert settings.keep_seconds is not None, "unset, everything is kept"
        self._settings, self._progress, self._stop = settings, progress, stop
        self._keep_ms = settings.keep_seconds * 1000
        self._found: dict[Place, int] = {}
        self._trouble = ""

    def run(self) -> None:
        """Until asked to stop. What goes wrong is said once, and tried again: nothing is lost by keeping more."""
        while not self._stop.wait(self._settings.trim_every_seconds):
            try:
                self.trim()
                self._trouble = ""
            except ListeningError as error:
                if str(error) != self._trouble:
                    log.warning("nothing is deleted for now", reason=str(error))
                self._trouble = str(error)
            except Exception:
                log.exception("looking for what may be deleted failed")

    def trim(self) -> None:
        """One round. Raises ListeningError."""
        before, self._found = self._found, {}
        with log_reader(self._settings.bootstrap, _FETCH_BYTES) as reader:
            self._found = dict(kept_from(reader, self._settings, self._sunk(), self._keep_ms))
        due = {place: min(offset, before[place]) for place, offset in self._found.items() if place in before}
        if due:
            admin.delete_records(self._settings, due)
        for (topic, partition), offset in due.items():
            log.info("deleted what every reader is past", topic=topic, partition=partition, below=offset)

    def _sunk(self) -> dict[Place, int]:
        topics = topics_of(self._settings)
        return {
            (topic.name, partition): offset
            for kind, topic in (("plays", topics.plays), ("artist-counts", topics.counts))
            for partition, offset in self._progress[kind].next.copy().items()
        }
