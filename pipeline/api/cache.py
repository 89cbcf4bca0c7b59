"""Answers that are asked for again and again: computed once for all who ask, and given for a while.

ask ─► young enough: given at once; past half its time: given, and one refresh begins behind it
    └► else: one computation in a thread, for which all who ask meanwhile wait

How old an answer is counts from when its question was put to the engine. None is ever older, at the moment it is asked for,
than `max_age_seconds`: so it shows all that was visible that long ago.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import UnavailableError

MOST_BYTES = 32 << 20
MOST_ENTRIES = 4096
MOST_FLIGHTS = 64
"""Different questions at work or waiting for a thread."""

Question = Callable[[], bytes]
"""Computes an answer: a JSON object with a member at least. Runs in a thread, for as long as it takes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`rest`: the JSON object from behind its first brace. `began`: when its question was put, by the cache's clock."""

    rest: bytes
    began: float
    question: Question


class Cache:
    """Of one event loop, which never waits for a question. What a question raises reaches all who wait, and is not kept."""

    def __init__(
        self,
        max_age_seconds: float,
        *,
        threads: int = 2,
        most_bytes: int = MOST_BYTES,
        most_entries: int = MOST_ENTRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_age_seconds = max_age_seconds
        self._most_bytes, self._most_entries, self._clock = most_bytes, most_entries, clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="question")
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        """The one that came last at the end: those in front are the oldest."""
        self._bytes = 0
        self._flights: dict[Hashable, asyncio.Task[Entry]] = {}
        self._closed = False

    @property
    def kept(self) -> tuple[int, int]:
        """Answers, and their bytes."""
        return len(self._entries), self._bytes

    def hit(self, key: Hashable) -> bytes | None:
        """The stored answer with its age, None where there is none that is young enough. To be called in the event loop."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        age = self._clock() - entry.began
        if age > self.max_age_seconds:
            return None
        if age * 2 > self.max_age_seconds and key not in self._flights and self._can_begin:
            self._begin(key, entry.question)
        return _told(entry, age)

    async def answer(self, key: Hashable, question: Question) -> bytes:
        """The answer with its age at this moment: a stored one, or what the question gives.

        Raises what the question raises, and UnavailableError where too many others are at work.
        """
        if (found := self.hit(key)) is not None:
            return found
        asked = self._clock()
        while True:
            # A computation that began too long ago is waited for, but not believed: there is one at a time for a question.
            entry = await asyncio.shield(self._flights.get(key) or self._begin(key, question))
            if asked - entry.began <= self.max_age_seconds:
                return _told(entry, max(0.0, asked - entry.began))

    async def close(self, seconds: float) -> None:
        """Begin nothing more, and wait so long for what is at work: the engine can't be closed under it."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._flights:
            await asyncio.wait(self._flights.values(), timeout=seconds)

    @property
    def _can_begin(self) -> bool:
        return not self._closed and len(self._flights) < MOST_FLIGHTS

    def _begin(self, key: Hashable, question: Question) -> "asyncio.Task[Entry]":
        if not self._can_begin:
            raise UnavailableError("the store is ending, or busy with many other questions: try again in a second")
        task = asyncio.get_running_loop().create_task(self._fly(key, question))
        self._flights[key] = task
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a refresh has nobody who waits
        return task

    async def _fly(self, key: Hashable, question: Question) -> Entry:
        try:
            entry = await asyncio.get_running_loop().run_in_executor(self._threads, self._computed, question)
            self._keep(key, entry)
            return entry
        finally:
            del self._flights[key]

    def _computed(self, question: Question) -> Entry:
        began = self._clock()
        return Entry(question().removeprefix(b"{"), began, question)

    def _keep(self, key: Hashable, entry: Entry) -> None:
        self._drop(key)
        self._entries[key] = entry
        self._bytes += len(entry.rest)
        oldest = self._clock() - self.max_age_seconds
        while self._entries:
            first = next(iter(self._entries))
            full = self._bytes > self._most_bytes or len(self._entries) > self._most_entries
            if not full and self._entries[first].began >= oldest:
                break
            self._drop(first)

    def _drop(self, key: Hashable) -> None:
        if entry := self._entries.pop(key, None):
            self._bytes -= len(entry.rest)


def _told(entry: Entry, age_seconds: float) -> bytes:
    return b'{"age_ms":%d,' % int(age_seconds * 1000) + entry.rest
