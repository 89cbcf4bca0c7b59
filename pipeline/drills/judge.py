"""What the oracles say of a drill: positions and stored rows first, then all is stopped and the log is run once more."""

from collections.abc import Callable

from pipeline.drills.drill import Drill
from pipeline.drills.ground import WORKERS, Ground
from pipeline.drills.oracles import conservation, equality, ledger, liveness, positions, replay
from pipeline.drills.told import Verdict
from pipeline.errors import ListeningError
from pipeline.verify.verify import verify

VERIFY_SECONDS = 60.0
"""The run is drained by then: what does not agree within this will not."""
Asked = Callable[[], Verdict]


def judge(drill: Drill, ground: Ground, recovered: float, progress: Callable[[str], None]) -> list[Verdict]:
    """A verdict an oracle, and those of the drill's own. The ground's workers are stopped on the way."""
    settings, found = ground.settings, list[Verdict]()

    def ask(oracle: str, asked: Asked) -> None:
        try:
            found.append(asked())
        except ListeningError as error:
            found.append(Verdict(oracle, False, f"could not be asked: {error}"))

    progress("judging: recomputing everything")
    try:
        verified = verify(settings, timeout=VERIFY_SECONDS, show_progress=False)
    except ListeningError as error:
        why = f"could not be asked: {error}"
        found += [Verdict(name, False, why) for name in (equality.NAME, ledger.NAME)]
    else:
        found += [equality.equality(verified), ledger.ledger(verified, settings.ledger_dir)]
        found += drill.also(ground, verified) if drill.also else []
    ask(conservation.NAME, lambda: conservation.conservation(settings))
    ask(positions.NAME, lambda: positions.positions(settings, resets=ground.resets))
    found.append(ground.watch.positions.verdict(ground.resets))
    ground.watch.stop()
    found.append(
        liveness.liveness(ground.watch.samples, recovered=recovered, until_zero=drill.until_zero, silent=drill.silent)
    )
    if drill.breach:
        found.append(Verdict(replay.NAME, None, "not asked: of a control one oracle must say no, and that is another"))
    else:
        ask(replay.NAME, lambda: _replayed(ground, progress))
    return sorted(found + ground.verdicts, key=lambda verdict: (not verdict.oracle.startswith("O"), verdict.oracle))


def _replayed(ground: Ground, progress: Callable[[str], None]) -> Verdict:
    progress("judging: a second, fresh run over the same log")
    first = replay.checksums(ground.settings)
    for name in WORKERS:
        ground.stack.stop(name)
    return replay.replayed(ground.settings, ground.folder / "again", lambda _line: None, first=first)
