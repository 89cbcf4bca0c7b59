"""The crash points of a store process: before and after the commit that follows a sink's inserts."""

import threading
from collections.abc import Mapping

from pipeline.drills.seams import Function, wrap
from pipeline.drills.switches import Switches
from pipeline.store.consumer import TopicConsumer
from pipeline.store.pending import Pending
from pipeline.store.positions import Committed
from pipeline.store.sink import Sink
from pipeline.topics import topics_of


def install(switches: Switches) -> None:
    """Raises RefusedError where a seam has moved."""
    tops = topics_of(switches.settings).tops.name
    inserting = threading.local()  # a sink is a thread; it commits at its start, too, and where there was nothing to insert

    def flushing(flush: Function) -> Function:
        def marked(self: Sink, consumer: TopicConsumer, pending: Pending) -> None:
            inserting.rows = pending.rows
            try:
                flush(self, consumer, pending)
            finally:
                inserting.rows = 0

        return marked

    def committing(commit: Function) -> Function:
        def reached(self: TopicConsumer, positions: Mapping[int, Committed]) -> None:
            has_rows = getattr(inserting, "rows", 0) > 0
            if has_rows:
                switches.reach("store after insert before commit")
            commit(self, positions)
            if has_rows:
                switches.reach("store after commit")
                if self.topic.name == tops:
                    switches.reach("store after commit of top-artists")

        return reached

    wrap(Sink, "_flush", flushing)
    wrap(TopicConsumer, "commit", committing)
