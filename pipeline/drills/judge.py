"""What the oracles say of a drill, in order: positions and stored rows first, then everything is stopped and replayed."""

from collections.abc import Callable

from pipeline.drills.drill import Drill
from pipeline.drills.ground import WORKERS, Ground
from pipeline.drills.oracles.conservation import conserved
from pipeline.drills.oracles.equality import equal
from pipeline.drills.oracles.ledger import honoured
from pipeline.drills.oracles.liveness import lively
from pipeline.drills.oracles.positions import positioned
from pipeline.drills.oracles.replay import checksums, replayed
from pipeline.drills.told import Verdict
from pipeline.errors import ListeningError
from pipeline.verify.verify import verify

VERIFY_SECONDS = 60.0
O1, O2, O3, O4, O5, O6 = "O1 equality", "O2 ledger", "O3 conservation", "O4 positions", "O5 replay", "O6 liveness"
ORACLES = (O1, O2, O3, O4, O5, O6)


def judge(drill: Drill, ground: Ground, recovered: float, progress: Callable[[str], None]) -> list[Verdict]:
    """A verdict an oracle. The ground's workers are stopped on the way."""
    progress("judging: recomputing everything")
    verdicts: dict[str, Verdict] = {}

    def ask(oracle: str, asked: Callable[[], Verdict]) -> None:
        if oracle in drill.passes_over:
            verdicts[oracle] = Verdict(oracle, None, drill.passes_over[oracle])
            return
        try:
            verdicts[oracle] = asked()
        except ListeningError as error:
            verdicts[oracle] = Verdict(oracle, False, f"could not be asked: {error}")

    settings = ground.settings
    also: list[Verdict] = []
    if O1 in drill.passes_over and O2 in drill.passes_over:
        for oracle in (O1, O2):
            verdicts[oracle] = Verdict(oracle, None, drill.passes_over[oracle])
    else:
        try:
            found = verify(settings, timeout=VERIFY_SECONDS, show_progress=False)
        except ListeningError as error:
            why = str(error)
            ask(O1, lambda: Verdict(O1, False, f"could not be asked: {why}"))
            ask(O2, lambda: Verdict(O2, False, f"could not be asked: {why}"))
        else:
            ask(O1, lambda: equal(found))
            ask(O2, lambda: honoured(found))
            also = drill.also(ground, found) if drill.also else []
    ask(O3, lambda: conserved(settings))
    ground.watch.close()
    ask(O4, lambda: positioned(settings, ground.watch.positions, ground.resets))
    ask(O6, lambda: lively(tuple(ground.watch.samples), recovered, drill.until_zero, drill.silent, ()))
    if O5 in drill.passes_over:
        ask(O5, lambda: Verdict(O5, None, ""))
    else:
        progress("judging: a second, fresh run over the same log")
        original = checksums(settings)
        for name in WORKERS:
            ground.stack.stop(name)
        ask(O5, lambda: replayed(settings, ground.folder / "replay", original))
    return [*(verdicts[oracle] for oracle in ORACLES if oracle in verdicts), *also]
