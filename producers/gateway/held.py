"""A call's hold on its Idempotency-Key, from taking it to its one answer."""

import os
import secrets

from producers.gateway.answers import Answer, CallRefusedError, retry_after
from producers.gateway.idempotency import InFlight, Mismatch, Stored
from producers.gateway.loop_state import LoopState

IN_FLIGHT_SECONDS = 1.0
"""After which a call that is in flight is likely to have been answered, long before its lease ends."""


class Held:
    """Begin it, renew it while it takes long, and finish or release it. All raise as the state does."""

    def __init__(self, state: LoopState, key_id: str, idempotency_key: str, digest: bytes, lease_seconds: float) -> None:
        self._state, self._call, self._digest = state, (key_id, idempotency_key), digest
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._lease_ms = max(1, int(lease_seconds * 1000))

    async def begin(self) -> Answer | None:
        """Take it, or the answer that was given before. Raises CallRefusedError where another one has it."""
        match await self._state.begin(*self._call, self._digest, self._owner, self._lease_ms):
            case Stored(status, body):
                return Answer(status, body, replayed=True)
            case Mismatch():
                raise CallRefusedError(
                    422, "Another call's Idempotency-Key", "this Idempotency-Key was sent with another body: use a new one"
                )
            case InFlight(retry_after_ms):
                raise CallRefusedError(
                    409,
                    "In flight",
                    "a call with this Idempotency-Key is being answered: ask again for its answer",
                    retry_after(min(IN_FLIGHT_SECONDS, retry_after_ms / 1000)),
                )
        return None

    async def renew(self) -> None:
        """Where it was lost, `finish` finds out."""
        await self._state.renew(*self._call, self._owner, self._lease_ms)

    async def release(self) -> None:
        await self._state.release(*self._call, self._owner)

    async def finish(self, answer: Answer) -> Answer:
        """Store the answer and give it. Where the hold was lost meanwhile, the other's answer counts: there is only one.

        Raises CallRefusedError where the other one has none yet.
        """
        while not await self._state.finish(*self._call, self._owner, answer.status, answer.body):
            stored = await self.begin()
            if stored is not None:
                return stored
        return answer
