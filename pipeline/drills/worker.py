"""`python -m pipeline.drills.worker STAGE --name NAME [--breach BREACH]`: a worker as it is, with a drill's switches.

settings, with this process's own ─► breach ─► crash points ─► the stage's real main
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from pipeline.drills.crash_points import STAGES, Stage
from pipeline.drills.seams import Function, wrap
from pipeline.drills.switches import Switches, overrides
from pipeline.errors import ListeningError, SettingsError
from pipeline.settings import PREFIX, Settings, load

# Nothing here imports a stage before its turn: the store must set up its allocators before polars and the engine are loaded.


def command(stage: Stage, name: str, breach: str | None = None) -> tuple[str, ...]:
    """The command of such a process, for a supervised program of that name."""
    return (
        *(sys.executable, "-m", "pipeline.drills.worker", stage, "--name", name),
        *(("--breach", breach) if breach else ()),
    )


def main() -> int:
    """Run one worker; its exit code, where it does not end the process itself."""
    parser = argparse.ArgumentParser(prog="pipeline.drills.worker")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--name", required=True, help="the supervised program's, such as classify-2")
    parser.add_argument("--breach", help="a promise to take back, see pipeline/drills/breaches.py")
    asked = parser.parse_args()
    if not _fits(asked.name, asked.stage):
        parser.error(f"a {asked.stage} process can't be named {asked.name}: {_NAMES[asked.stage]}")
    try:
        return _prepared(asked.stage, asked.name, asked.breach)()
    except ListeningError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


_NAMES: dict[Stage, str] = {
    "classify": "it is classify, or classify- and more",
    "rank": "it is rank, or rank- and more",
    "store": "there is one in a run, and it is store",
}


def _fits(name: str, stage: Stage) -> bool:
    return name == stage or (stage != "store" and name.startswith(f"{stage}-") and not set("@/*?[]") & set(name))


def _prepared(stage: Stage, name: str, breach: str | None) -> Callable[[], int]:
    """The real main, in its modules with everything wrapped that is to be wrapped."""
    settings = _own_settings(name)
    switches = Switches(settings, name)
    if stage == "store":
        import pipeline.store.__main__  # noqa: F401  (its settings of the allocators come before any other import)

        return _store(switches, breach)
    return _faust_worker(stage, switches, breach)


def _own_settings(name: str) -> Settings:
    for field, value in overrides(load(), name).items():
        if field not in Settings.model_fields:
            raise SettingsError(f"{name}.settings.json of the drill names {field}, which is no setting")
        os.environ.pop(PREFIX + field.upper(), None)
        if value is not None:
            os.environ[PREFIX + field.upper()] = str(value)
    return load()


def _store(switches: Switches, breach: str | None) -> Callable[[], int]:
    from pipeline.drills import crash_store
    from pipeline.store import serve

    _take_back(breach, "store", switches.name)
    crash_store.install(switches)
    return serve.main


def _faust_worker(stage: Stage, switches: Switches, breach: str | None) -> Callable[[], int]:
    from pipeline.drills import crash_classify, crash_rank, slow_classify
    from pipeline.workers import classify, rank

    _take_back(breach, stage, switches.name)
    module: Any = classify if stage == "classify" else rank
    if stage == "classify":
        slow_classify.install(switches)
        crash_classify.install(switches)
    else:
        crash_rank.install(switches)

    def building(build: Function) -> Function:
        def named(settings: Settings, stage: str, openers: Any, on_stop: Any) -> Any:
            app = build(settings, stage, openers, on_stop)
            app.ready_file = settings.run_dir / "ready" / switches.name
            return app

        return named

    wrap(module, "build_app", building)
    run: Callable[[], int] = module.main
    return run


def _take_back(breach: str | None, stage: Stage, name: str) -> None:
    """Before the crash points: these lie round what is broken, too."""
    if breach is None:
        return
    from pipeline.drills.breaches import BREACHES, TAKEN_BACK, install

    for known in BREACHES:
        if known == breach:
            install(known, stage)
            print(f"drill: {name} runs with {breach}: {TAKEN_BACK[known]}", file=sys.stderr, flush=True)
            return
    raise SettingsError(f"{breach} is no breach: {', '.join(BREACHES)}")


if __name__ == "__main__":
    sys.exit(main())
