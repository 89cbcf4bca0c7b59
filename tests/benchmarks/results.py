"""What a contest comes to: rounds, rates, and ratios of rounds with their spread. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Round:
    """One contestant's turn. `cpu`: user and system seconds of each of its processes over its whole life, start included.
    `peak_mb`: the most resident memory that each of them had, MiB. `said`: what our workers warned of: nothing, where all
    went as it should."""

    events: int
    seconds: float
    cpu: Mapping[str, float] = field(default_factory=dict)
    peak_mb: Mapping[str, int] = field(default_factory=dict)
    said: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an event, of all processes together."""
        return sum(self.cpu.values()) / self.events * 1e6

    @property
    def peak(self) -> int:
        """MiB of all processes together, each at its own peak."""
        return sum(self.peak_mb.values())


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours over theirs. `rounds`: the ratio of each round that both were in."""

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ratio that is to be told: of whom over whom, and how much it is to be at least."""

    ours: str
    theirs: str
    bar: float | None = None


WANTED = {
    "same_work_vs_kafka_streams": Wanted("same-work", "kafka-streams", 5.0),
    "same_work_two_vs_kafka_streams": Wanted("same-work-two", "kafka-streams"),
    "classify_vs_kafka_streams": Wanted("classify", "kafka-streams", 5.0),
    "two_classify_vs_kafka_streams": Wanted("two-classify", "kafka-streams", 7.0),
    "classify_vs_faust": Wanted("classify", "faust", 25.0),
    "classify_vs_quix_streams": Wanted("classify", "quix-streams"),
    "classify_vs_aiokafka": Wanted("classify", "aiokafka", 0.5),
}


class NoResultError(ValueError):
    """A peer printed no line that tells its result."""


def parse_result(output: str) -> tuple[int, float]:
    """Events and events a second of the last line `RES <name> <events> <ev/s> …`. Raises NoResultError."""
    lines = [line.split() for line in output.splitlines() if line.startswith("RES ")]
    try:
        _, _, events, rate, *_ = lines[-1]
        found = int(events), float(rate)
    except (IndexError, ValueError):
        raise NoResultError(f"no line `RES name events rate` in: {output[-500:].strip() or 'nothing'}") from None
    if found[0] <= 0 or not 0 < found[1] < float("inf"):
        raise NoResultError(f"no rate: {' '.join(lines[-1])}")
    return found


def ratio(ours: Sequence[Round | None], theirs: Sequence[Round | None]) -> Ratio | None:
    """Round by round, so that what slowed the machine down for a while slowed both; None where no round had both."""
    pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=False) if mine and other]
    if not pairs:
        return None
    each = tuple(mine.rate / other.rate for mine, other in pairs)
    return Ratio(median(each), min(each), max(each), each)


def ratios(rounds: Mapping[str, Sequence[Round | None]]) -> dict[str, Ratio]:
    """The wanted ratios of those who took part."""
    found = {name: ratio(rounds.get(wanted.ours, ()), rounds.get(wanted.theirs, ())) for name, wanted in WANTED.items()}
    return {name: value for name, value in found.items() if value}
