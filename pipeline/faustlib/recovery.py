"""Faust's recovery, which also runs `perform_seek`: without its time limit.

Faust gives it `broker_request_timeout`, cancels what takes longer and takes that for its own end: the worker would keep
its partitions and do nothing, for ever and in silence. A restore takes as long as it takes; what can hang inside it has
limits of its own, which end the process.
"""

from typing import Any

from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery


class Recovery(FaustRecovery):  # type: ignore[misc]
    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002
        await super()._wait(coro)


class TableManager(FaustTableManager):  # type: ignore[misc]
    _recovery: Recovery | None

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
