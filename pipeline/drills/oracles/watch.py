"""O4, live: every commit is compared with what is applied when it is seen.

look: new commits ─► then plays up to its end as of now ─► commit ≤ applied?     sink commits ─► then the store ─► ≤ stored?

In this order a commit that is right is never called ahead, whatever goes on meanwhile. Nothing is asked of the group
coordinator: librdkafka dies of some answers of a broker that is starting (its issue 5040).
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException

from pipeline.drills.oracles.commits import TOPIC, Commit, commit_of
from pipeline.drills.oracles.positions import SHOWN, STORED, Reach, ahead_of_plays, ahead_of_store, is_reset, next_source
from pipeline.drills.oracles.reading import end_of, raw_of
from pipeline.drills.oracles.tail import ASK_SECONDS, Tail
from pipeline.drills.told import Verdict
from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import rows
from pipeline.topics import group_of, topics_of

NAME = "O4 positions, live"
READ_SECONDS = 0.5
"""Most of one look's time for reading `plays`; what is left is judged at the next."""
DEAF_LOOKS = 15
"""Looks in a row without an answer, after which new consumers are tried."""
STORE_SECONDS, STORE_AGAIN_SECONDS, STORE_REST_SECONDS = 1.0, 1.0, 5.0
"""How long the store may take, how often it is asked, and how long it is left alone where it didn't answer."""


class PositionsWatch:
    """Looks about twice a second, from one thread or another; all attributes may be read at any time.

    Summed over the partitions, None while the broker does not answer: `produced` (where playback-events ends), `applied`
    (source offsets with outcomes), `stored` (source offsets that the sink has committed).
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        topics = topics_of(settings)
        self._settings, self._clock, self._lock = settings, clock, threading.Lock()
        self._commits, self._plays = Tail(settings, TOPIC), Tail(settings, topics.plays.name)
        self._events, self._partitions = topics.events.name, settings.partitions
        self._classify, self._sink = group_of(settings, "classify"), group_of(settings, "sink")
        self._reach, self._stored = Reach(), dict[int, int]()
        self._of_classify, self._of_sink = list[Commit](), list[Commit]()
        self._ahead = list[tuple[Commit, str]]()
        self._seen = {
            "classify_commits": 0,
            "sink_commits": 0,
            "looks": 0,
            "unanswered_looks": 0,
            "store_answers": 0,
            "reopened": 0,
        }
        self._ask_store_at = 0.0
        self._last_error, self._unanswered = "", 0
        self.produced: int | None = None
        self.applied: int | None = None
        self.stored: int | None = None

    def look(self) -> None:
        """See what is new, and judge it. Takes at most about three seconds, whatever is down.

        Raises ValueError for a commit in a form that is unknown, nothing else.
        """
        with self._lock:
            self._seen["looks"] += 1
            try:
                self._read_commits()
                self._read_plays()
                self.produced = self._ends_of_events()
                self.applied, self.stored = sum(self._reach.next.values()), sum(self._stored.values())
                self._unanswered = 0
            except KafkaException as error:
                self._seen["unanswered_looks"] += 1
                self._last_error = str(error.args[0].str())
                self._unanswered += 1
                if self._unanswered % DEAF_LOOKS == 0:
                    self._seen["reopened"] += 1
                    self._commits.reopen()
                    self._plays.reopen()
                self.produced = self.applied = self.stored = None
            self._judge_sink()

    def reached(self) -> dict[int, int]:
        """Partition → the source offset after the last one that has an outcome."""
        with self._lock:
            return dict(self._reach.next)

    def verdict(self, resets: Sequence[int] = ()) -> Verdict:
        """What was seen, after one look more. `resets`: epoch ms at which the drill itself moved committed offsets."""
        self.look()
        with self._lock:
            wrong = [sentence for commit, sentence in self._ahead if not is_reset(commit.at, commit.at, resets)]
            wrong += filter(None, (self._commits.gone, self._plays.gone))
            figures: dict[str, int | float | str] = {**self._seen, "ahead": len(self._ahead), "resets": len(resets)}
            if self._last_error:
                figures["last_error"] = self._last_error
            figures["unjudged"] = len(self._of_classify) + len(self._of_sink)
            if not self._seen["classify_commits"] or not self._seen["sink_commits"]:
                wrong.append("the watch saw no commits of classify, or none of the sink")
        if wrong:
            more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
            return Verdict(NAME, False, "; ".join(wrong[:SHOWN]) + more, figures)
        seen = f"{self._seen['classify_commits']:,} commits of classify and {self._seen['sink_commits']:,} of the sink"
        return Verdict(NAME, True, f"{seen} seen in {self._seen['looks']:,} looks, none ahead of what was applied", figures)

    def close(self) -> None:
        with self._lock:
            self._commits.consumer.close()
            self._plays.consumer.close()

    def _read_commits(self) -> None:
        if not self._commits.open():
            return  # nobody has committed anything yet
        messages = self._commits.take(0.05)
        for commit in self._ours(messages):
            if commit.group == self._classify:
                self._of_classify.append(commit)
                self._seen["classify_commits"] += 1
            else:
                self._of_sink.append(commit)
                self._stored[commit.partition] = next_source(commit)
                self._seen["sink_commits"] += 1
        if not messages:
            self._commits.heed(False, self._commits.ends())

    def _ours(self, messages: Iterable[Any]) -> Iterable[Commit]:
        wanted = {(self._classify, self._events), (self._sink, self._plays.topic)}
        found = (commit_of(raw_of(message)) for message in messages)
        return (c for c in found if c is not None and c.offset is not None and (c.group, c.topic) in wanted)

    def _read_plays(self) -> None:
        if not self._plays.open():
            return
        ends, deadline, progress = self._plays.ends(), self._clock() + READ_SECONDS, False
        while self._plays.is_behind(ends) and self._clock() < deadline:
            for message in self._plays.take(0.1):
                progress = True
                self._reach.add(raw_of(message))
        self._plays.heed(progress, ends)
        if not self._plays.is_behind(ends):
            self._ahead += [(c, s) for c in self._of_classify if (s := ahead_of_plays(c, self._reach.next))]
            self._of_classify.clear()

    def _ends_of_events(self) -> int:
        return sum(end_of(self._plays.consumer, self._events, p, ASK_SECONDS) for p in range(self._partitions))

    def _judge_sink(self) -> None:
        now = self._clock()
        if not self._of_sink or now < self._ask_store_at:
            return
        self._ask_store_at = now + STORE_REST_SECONDS
        with suppress(ListeningError):
            found = {int(row["p"]): int(row["next"]) for row in rows(self._settings, STORED, seconds=STORE_SECONDS)}
            self._ask_store_at = now + STORE_AGAIN_SECONDS
            self._seen["store_answers"] += 1
            self._ahead += [(c, s) for c in self._of_sink if (s := ahead_of_store(c, found))]
            self._of_sink.clear()
