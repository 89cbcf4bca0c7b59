"""`listening repartition`: a run's source log under another number of partitions, as a new run.

1. snapshot the old log's ends   2. take up the last checkpoint, or begin one   3. finish the snapshot that was begun before
4. copy this one   5. the artists' names   6. the old run's ledger, with the places that the copies got
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import gt

from pipeline.admin import ensure_topics, topic_id
from pipeline.errors import ListeningError, RefusedError
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from producers.interrupt import Interrupt
from producers.replay.artists import copy_artists
from producers.replay.checkpoint import Checkpoint, Workspace, begin_again, workspace
from producers.replay.copy import copy
from producers.replay.places import Map, map_ledger
from producers.replay.read import bounds, settled
from producers.replay.target import Target

MOST_PARTITIONS = 256


@dataclass(frozen=True, slots=True)
class Repartitioned:
    """What one `listening repartition` did. Numbers are of this command, `copied` is of all commands for this new run."""

    source: str
    run: str
    partitions: int
    events: int
    """Records copied that are no ticks, valid or not."""
    ticks_read: int
    ticks: int
    """Ticks written, to every partition each."""
    misrouted: int
    """Of the events: those that lay in another partition than their key's, and now lie in it."""
    poison: int
    """Of the events: those without a key of 8 bytes, which stay invalid."""
    without_headers: int
    """Of the events: those whose headers have names that are no UTF-8, copied without headers."""
    absent: int
    """Offsets of the old log, over all commands, that hold no record: markers of transactions."""
    compared: int
    """Records that lay in the new log already, from a command that didn't end, and were compared with what they must be."""
    artists: int
    ledger_rows: int
    ledger_left_out: int
    """Rows of the ledger whose records lie past what was copied."""
    seconds: float
    """From the first record to the last answer."""
    copied: int
    """Events copied so far, over all commands."""

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0


def repartition(
    old: Settings, new: Settings, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Repartitioned:
    """Copy the old run's source log, as far as it reaches now, into the new run; again: what came since.

    `new` is `repartitioned(old, …)`. `progress` gets how many of how many offsets are done. Raises RefusedError where the
    runs are not such that this can be done exactly, UnavailableError where the broker doesn't answer, ListeningError for
    Ctrl-C: the same command goes on after each of the latter two, and after kill -9.
    """
    with Interrupt() as interrupt, workspace(new) as work:
        try:
            return _repartition(old, new, work, interrupt, progress)
        except KeyboardInterrupt:
            raise ListeningError(
                f"Interrupted; what was copied into {new.run} stays: the same command goes on where it stopped."
            ) from None


def repartitioned(old: Settings, run: str, partitions: int) -> Settings:
    """The settings of the new run: its records keep the old ones' broker time. Raises RefusedError, SettingsError."""
    if not 1 <= partitions <= MOST_PARTITIONS:
        raise RefusedError(f"--partitions must be 1 to {MOST_PARTITIONS}, it is {partitions}.")
    if run == old.run:
        raise RefusedError(f"--to must name a new run, {run} is the old one: a log keeps the partitions that it began with.")
    return load(**(old.model_dump() | {"run": run, "partitions": partitions, "append_time": False}))


def _repartition(
    old: Settings, new: Settings, work: Workspace, interrupt: Interrupt, progress: Callable[[int, int], None]
) -> Repartitioned:
    ends = _ends(old)
    found = work.load()
    checkpoint, present = _going_on(found, old, new, ends) if found else _begun(old, new, ends)
    snapshots = [ends] if checkpoint.finished else [checkpoint.ends, ends]
    before = dict(checkpoint.counters)

    began = time.monotonic()
    with Target(new, checkpoint.written, present, interrupt) as target:
        for checkpoint.ends in snapshots:
            work.save(checkpoint)
            copy(old, new, checkpoint, target, work, interrupt, progress)
    seconds = time.monotonic() - began

    artists = copy_artists(old, new, interrupt)
    places = Map(ends)
    places.load([work.chunk(number) for number in range(checkpoint.chunks)])
    rows, left_out = map_ledger(old, new, places)
    counters = checkpoint.counters
    return Repartitioned(
        source=old.run,
        run=new.run,
        partitions=new.partitions,
        **{name: number - before[name] for name, number in counters.items()},
        absent=sum(ends) - counters["events"] - counters["ticks_read"],
        compared=target.compared,
        artists=artists,
        ledger_rows=rows,
        ledger_left_out=left_out,
        seconds=seconds,
        copied=counters["events"],
    )


def _ends(old: Settings) -> list[int]:
    """The old log's ends, as it is now."""
    topic = topics_of(old).events.name
    found = bounds(old, topic)
    if not found:
        raise RefusedError(f"There is no topic {topic}: --run (or LISTENING_RUN) must name the run to be copied.")
    if len(found) != old.partitions:
        raise RefusedError(
            f"Topic {topic} has {len(found)} partitions and LISTENING_PARTITIONS is {old.partitions}: "
            "set LISTENING_PARTITIONS to what that run began with."
        )
    for partition, (low, _high) in enumerate(found):
        if low > 0:
            raise RefusedError(
                f"Topic {topic} begins at offset {low} in partition {partition}, what came before was deleted: "
                "a copy without it would be another log."
            )
    return [high for _low, high in found]


def _begun(old: Settings, new: Settings, ends: list[int]) -> tuple[Checkpoint, list[int]]:
    """The checkpoint of a new copy, and what lies in the new log: nothing."""
    topic = topics_of(new).events.name
    if any(high for _low, high in bounds(new, topic)):
        raise RefusedError(
            f"Run {new.run} holds records already, and no repartition of {old.run} into it is known in {new.run_dir}: "
            f"choose another name for --to, or {begin_again(new.run)}"
        )
    ensure_topics(new)
    ids = (topic_id(old, topics_of(old).events.name), topic_id(new, topic))
    nothing = [0] * new.partitions
    checkpoint = Checkpoint(old.run, *ids, list(ends), [0] * old.partitions, nothing, [0] * old.partitions)
    return checkpoint, list(nothing)


def _going_on(found: Checkpoint, old: Settings, new: Settings, ends: list[int]) -> tuple[Checkpoint, list[int]]:
    """The checkpoint, held to what is asked for and to both logs, and how many records lie in the new one."""
    topic, remedy = topics_of(new).events.name, begin_again(new.run)
    if (found.source, len(found.written)) != (old.run, new.partitions):
        raise RefusedError(
            f"Run {new.run} was begun as a copy of {found.source} with {len(found.written)} partitions: "
            f"say --run {found.source} --partitions {len(found.written)} to go on with it, or {remedy}"
        )
    if topic_id(old, topics_of(old).events.name) != found.source_id or any(map(gt, found.ends, ends)):
        raise RefusedError(
            f"Topic {topics_of(old).events.name} is not what was copied from, it was cut or made anew: {remedy}"
        )
    present = [high for _low, high in bounds(new, topic)]
    if not present or topic_id(new, topic) != found.target_id:
        raise RefusedError(f"Topic {topic} is not what was copied to, it was deleted or made anew: {remedy}")
    ensure_topics(new)
    if not found.finished:
        present = settled(new, topic)
    if any(map(gt, found.written, present)):
        raise RefusedError(f"Topic {topic} has lost records that were copied to it: {remedy}")
    if found.finished and present != found.written:
        raise RefusedError(
            f"Run {new.run} holds {sum(present) - sum(found.written):,} records that aren't copies: it was cut over to "
            f"already, and nothing more of {old.run} can be put behind them; to copy anew, {remedy}"
        )
    return found, present
