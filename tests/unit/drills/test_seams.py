"""Where drills take hold of the real code: a seam that moved is refused at the start, by name."""

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pipeline.drills import breaches, crash_classify, crash_rank, crash_store, seams, slow_classify
from pipeline.drills.switches import Switches
from pipeline.errors import RefusedError
from pipeline.settings import load

Seam = tuple[Any, str]
INSTALLERS: dict[str, tuple[ModuleType, Callable[[], None]]] = {
    "slowness of classify": (slow_classify, lambda: slow_classify.install(Switches(load(), "classify"))),
    "crashes of classify": (crash_classify, lambda: crash_classify.install(Switches(load(), "classify"))),
    "crashes of rank": (crash_rank, lambda: crash_rank.install(Switches(load(), "rank"))),
    "crashes of the store": (crash_store, lambda: crash_store.install(Switches(load(), "store"))),
} | {
    f"{breach} in {stage}": (breaches, lambda breach=breach, stage=stage: breaches.install(breach, stage))  # type: ignore[misc]
    for breach in breaches.BREACHES
    for stage in breaches.stages_of(breach)
}


def seams_of(patch: pytest.MonkeyPatch, installer: str) -> list[Seam]:
    """Install for real, until `patch` takes it back; what was wrapped."""
    module, install = INSTALLERS[installer]
    found: list[Seam] = []

    def recorded(owner: Any, name: str, around: Callable[[seams.Function], seams.Function]) -> None:
        found.append((owner, name))
        patch.setattr(owner, name, inspect.getattr_static(owner, name))
        seams.wrap(owner, name, around)

    with pytest.MonkeyPatch.context() as recording:
        recording.setattr(module, "wrap", recorded)
        install()
    return found


@pytest.mark.parametrize("installer", INSTALLERS)
def test_every_seam_is_there_and_each_that_was_renamed_is_refused_by_its_name(installer: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = seams_of(patch, installer)
    assert found
    for owner, name in found:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, None)
            with pytest.raises(RefusedError, match=rf"{re.escape(owner.__name__)}\.{name} is no function"):
                seams_of(patch, installer)


class Stage:
    def plain(self, first: int) -> int:
        return first

    async def awaited(self) -> None: ...


def test_a_function_that_takes_something_else_now_is_refused() -> None:
    def other(_function: seams.Function) -> seams.Function:
        def wrapper(self: Stage, second: int) -> int:  # noqa: ARG001
            return second

        return wrapper

    with pytest.raises(RefusedError, match=r"Stage\.plain takes self, first; the drill's wrapper self, second"):
        seams.wrap(Stage, "plain", other)


def test_a_function_that_is_a_coroutine_now_is_refused() -> None:
    def blocking(_function: seams.Function) -> seams.Function:
        return lambda self: None  # noqa: ARG005

    with pytest.raises(RefusedError, match="not both"):
        seams.wrap(Stage, "awaited", blocking)


@pytest.mark.parametrize("installer", [name for name, (module, _) in INSTALLERS.items() if module is breaches])
def test_crash_points_lie_round_what_a_breach_has_put_there(installer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seams_of(monkeypatch, installer)
    stage = installer.rpartition(" ")[2]
    assert seams_of(monkeypatch, "crashes of the store" if stage == "store" else f"crashes of {stage}")
