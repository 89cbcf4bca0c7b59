"""The event loop of all simulated processes: it runs until every one of them waits for the broker, and then stands still."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tests.unit.machine.broker import PROCESS

_TURNS = 10_000
"""More turns than pass between any two side effects."""


class EndedError(BaseException):
    """Where a process would have ended nothing more may run."""


class AtOnce(ThreadPoolExecutor):
    """Runs what is given to a thread at once: the order of everything is the machine's."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class Loop:
    """`hear` is told of what nobody else hears: exceptions in tasks."""

    def __init__(self, hear: Callable[[BaseException], None]) -> None:
        self.loop, self._hear = asyncio.new_event_loop(), hear
        self.loop.set_default_executor(AtOnce(1))
        self.loop.set_task_factory(_owned)
        self.loop.set_exception_handler(self._unheard)

    def until_all_wait(self) -> list[str]:
        """What is still at work after more turns than there can be; empty: all wait."""
        for _ in range(_TURNS):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:  # type: ignore[attr-defined]
                return []
        return [str(task.get_coro()) for task in asyncio.all_tasks(self.loop)]

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.until_all_wait()
        self.loop.close()

    def _unheard(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error and not isinstance(error, EndedError):
            self._hear(error)


def _owned(loop: asyncio.AbstractEventLoop, work: Any, **kwargs: Any) -> "asyncio.Task[Any]":
    """A task of the process whose code starts it."""
    task = asyncio.Task(work, loop=loop, **kwargs)
    context = kwargs.get("context")
    if process := context.get(PROCESS) if context else PROCESS.get(None):
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
