"""The contest: everybody in turn on the same topic and broker, round after round, so that a slow minute slows all down."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.benchmarks import ours, theirs
from tests.benchmarks.processes import BenchError
from tests.benchmarks.results import Round
from tests.benchmarks.rig import Progress, Rig, rig
from tests.benchmarks.theirs import SkippedError, Turn


@dataclass(frozen=True, slots=True)
class Contestant:
    """`prepare`: once, before the first round; raises SkippedError. `ours`: what it leaves is verified after its last turn.
    `asked`: takes part only where it is named."""

    name: str
    label: str
    prepare: Callable[[Rig], Turn]
    ours: bool = False
    asked: bool = False


def _ours(turn: Callable[[Rig, int], Round], processes: int) -> Callable[[Rig], Turn]:
    return lambda rig: partial(turn, rig, processes)


CONTESTANTS = (
    Contestant("kafka-streams", "Kafka Streams, 2 threads, RocksDB", theirs.kafka_streams),
    Contestant("same-work", "the same work: 1 classify, 1 count", _ours(ours.same_work, 1), ours=True),
    Contestant("same-work-two", "the same work: 2 classify, 1 count", _ours(ours.same_work, 2), ours=True, asked=True),
    Contestant("classify", "classify, 1 process", _ours(ours.classify, 1), ours=True),
    Contestant("aiokafka", "aiokafka alone: the floor", theirs.aiokafka),
    Contestant("two-classify", "classify, 2 processes", _ours(ours.classify, 2), ours=True),
    Contestant("quix-streams", "Quix Streams, RocksDB", theirs.quix_streams),
    Contestant("faust", "Faust as in its manual, stateless", theirs.faust),
)


@dataclass
class Outcome:
    """Contestant → its rounds (None: it failed in that one), why it was skipped, how it failed, what verify said."""

    rounds: dict[str, list[Round | None]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether what we put out was, and nothing of ours failed."""
        names = {contestant.name for contestant in CONTESTANTS if contestant.ours}
        return all(verdict == "exact" for verdict in self.verdicts.values()) and names.isdisjoint(self.failed)


def contest(contestants: list[Contestant], events: int, rounds: int, progress: Progress) -> Outcome:
    """Hold it. Raises ListeningError where the rig itself fails."""
    outcome = Outcome()
    with rig(events, progress) as ground:
        turns = {}
        for contestant in contestants:
            progress(f"preparing {contestant.name}")
            try:
                turns[contestant.name] = contestant.prepare(ground)
                outcome.rounds[contestant.name] = []
            except SkippedError as reason:
                progress(f"{contestant.name} is skipped: {reason}")
                outcome.skipped[contestant.name] = str(reason)
        taking_part = [contestant for contestant in contestants if contestant.name in turns]
        for number in range(1, rounds + 1):
            for contestant in taking_part:
                found = _turn(contestant, turns[contestant.name], f"round {number}", outcome, progress)
                if found and contestant.ours and number == rounds:
                    progress(f"{contestant.name}: the rest of the pipeline, then verify")
                    outcome.verdicts[contestant.name] = _verdict(ground)
                    progress(f"{contestant.name}: verify: {outcome.verdicts[contestant.name]}")
                ground.clear()
    return outcome


def _turn(contestant: Contestant, turn: Turn, number: str, outcome: Outcome, progress: Progress) -> Round | None:
    found = None
    try:
        found = turn()
        progress(f"{number}: {contestant.name} {found.rate:,.0f} events/s, {found.cpu_us:.2f} µs CPU an event")
        for line in found.said:
            progress(f"  {line}")
    except BenchError as error:
        progress(f"{number}: {contestant.name} failed: {error}")
        outcome.failed.setdefault(contestant.name, []).append(str(error))
    outcome.rounds[contestant.name].append(found)
    return found


def _verdict(ground: Rig) -> str:
    try:
        return ours.verdict(ground)
    except BenchError as error:
        return f"not decided: {error}"
