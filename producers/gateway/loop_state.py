"""The state, asked from an event loop: its transactions wait for those of other processes, so they run in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from producers.gateway.idempotency import Beginning
from producers.gateway.limit import Limit, Verdict
from producers.gateway.state import State
from producers.publish.pace import now_ms

THREADS = 4
T = TypeVar("T")


class LoopState:
    """A `State` whose methods are awaited, at this machine's clock. Raises as the state does."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="state")

    async def charge(self, key_id: str, events: int, limit: Limit) -> Verdict:
        """Of 0 events: how the limit stands; nothing is written."""
        return await self._asked(lambda: self._state.charge(key_id, events, limit, now_ms()))

    async def begin(self, key_id: str, idempotency_key: str, digest: bytes, owner: str, lease_ms: int) -> Beginning:
        return await self._asked(lambda: self._state.begin(key_id, idempotency_key, digest, owner, now_ms(), lease_ms))

    async def finish(self, key_id: str, idempotency_key: str, owner: str, status: int, body: bytes) -> bool:
        return await self._asked(lambda: self._state.finish(key_id, idempotency_key, owner, status, body, now_ms()))

    async def renew(self, key_id: str, idempotency_key: str, owner: str, lease_ms: int) -> bool:
        return await self._asked(lambda: self._state.renew(key_id, idempotency_key, owner, now_ms(), lease_ms))

    async def release(self, key_id: str, idempotency_key: str, owner: str) -> bool:
        return await self._asked(lambda: self._state.release(key_id, idempotency_key, owner))

    async def purge(self, keep_ms: int) -> int:
        return await self._asked(lambda: self._state.purge(now_ms(), keep_ms))

    async def check(self) -> None:
        """Raises where the state can't be used."""
        await self.charge("", 0, Limit(1, 1))

    def close(self) -> None:
        """When the transactions under way are through; those that wait for a thread are cancelled."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._state.close()

    async def _asked(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, question)
