"""One snapshot of the old log into the new one, from a checkpoint on.

read ─► merge ─► tick? ─► minimum of the old partitions ─► due ─► before the next record, to all partitions
                   └─ no ─► the partition of its key ─► the next offset there ─► places
"""

from collections.abc import Callable
from itertools import islice

from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.interrupt import Interrupt
from producers.replay.checkpoint import Checkpoint, Workspace
from producers.replay.places import Places
from producers.replay.read import reading
from producers.replay.records import Record, homes, merged, tick_of
from producers.replay.target import Target
from producers.replay.ticks import TickMinimum

BATCH = 10_000
"""Records whose keys are hashed at once."""
CHECKPOINT_EVERY = 500_000
"""Records between two checkpoints: what a killed command has to compare at most."""


def copy(
    old: Settings,
    new: Settings,
    checkpoint: Checkpoint,
    target: Target,
    work: Workspace,
    interrupt: Interrupt,
    progress: Callable[[int, int], None],
) -> None:
    """Copy the checkpoint's snapshot to its end; the checkpoint moves along. Raises as `Reader` and `Target` do."""
    topic, total = topics_of(old).events.name, sum(checkpoint.ends)
    ticks, places = TickMinimum(checkpoint.shown, checkpoint.due), Places()
    with reading(old, topic, checkpoint.position, checkpoint.ends, interrupt, append_time=old.append_time) as reader:
        stream = merged([reader.partition(partition) for partition in range(old.partitions)])
        while batch := list(islice(stream, BATCH)):
            _put(batch, old.partitions, new.partitions, checkpoint, ticks, target, places)
            progress(sum(checkpoint.position), total)
            if len(places) >= CHECKPOINT_EVERY:
                target.flush()
                _save(checkpoint, ticks, target, places, work)
    _tick(ticks, target, checkpoint)
    target.end()
    checkpoint.position = list(checkpoint.ends)
    _save(checkpoint, ticks, target, places, work)


def _put(
    batch: list[Record],
    old: int,
    new: int,
    checkpoint: Checkpoint,
    ticks: TickMinimum,
    target: Target,
    places: Places,
) -> None:
    """The next records in the order of the merge."""
    old_homes, new_homes = (column.tolist() for column in homes(batch, old, new))
    events = misrouted = poison = without_headers = 0
    position = checkpoint.position
    for record, old_home, new_home in zip(batch, old_homes, new_homes, strict=True):
        partition = record.partition
        position[partition] = record.offset + 1
        if record.value is None and (clock := tick_of(record)) is not None:
            ticks.show(partition, clock, record.appended_at)
            continue
        if ticks.due:
            _tick(ticks, target, checkpoint)
        if new_home < 0:
            poison += 1
            new_home = partition % new
        elif old_home != partition:
            misrouted += 1
        without_headers += record.headers is None
        events += 1
        places.add(partition, record.offset, new_home, target.put(new_home, record))
    counters = checkpoint.counters
    counters["events"] += events
    counters["ticks_read"] += len(batch) - events
    counters["misrouted"] += misrouted
    counters["poison"] += poison
    counters["without_headers"] += without_headers


def _tick(ticks: TickMinimum, target: Target, checkpoint: Checkpoint) -> None:
    if due := ticks.take():
        target.tick(*due)
        checkpoint.counters["ticks"] += 1


def _save(checkpoint: Checkpoint, ticks: TickMinimum, target: Target, places: Places, work: Workspace) -> None:
    """Everything up to here is acknowledged: first the places, then the checkpoint that counts them."""
    if len(places):
        places.write(work.chunk(checkpoint.chunks))
        checkpoint.chunks += 1
    checkpoint.written, checkpoint.due = target.written, ticks.due
    work.save(checkpoint)
