"""O4: committed offsets never go back and are never ahead of what is applied; valid `plays` records leave no gap.

Judged after the drill, from all that was ever committed. Whether a commit was ahead at its time is seen live: watch.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.drills.oracles.batches import Batch, batch_of
from pipeline.drills.oracles.commits import Commit, commits
from pipeline.drills.oracles.reading import Raw, ends_of, records
from pipeline.drills.told import Verdict
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.store.ask import rows
from pipeline.topics import group_of, topics_of

NAME = "O4 positions"
STAGES = ("classify", "rank", "sink")
RESET_MS = 2_000
"""How far the drill's clock and the broker's may differ about a reset, with the time that the reset takes."""
SHOWN = 5
STORED = "SELECT source_partition AS p, toInt64(max(last_offset)) + 1 AS next FROM batches FINAL GROUP BY source_partition"


@dataclass
class Reach:
    """How far the valid records of `plays` reach."""

    next: dict[int, int] = field(default_factory=dict)
    """Partition → the source offset after the last one that has an outcome."""
    batches: list[Batch] = field(default_factory=list)
    ignored: int = 0
    gaps: list[str] = field(default_factory=list)

    def add(self, raw: Raw) -> None:
        """Take the next record of its partition."""
        if (batch := batch_of(raw)) is None:
            self.ignored += 1
            return
        expected = self.next.get(batch.partition, 0)
        if batch.first != expected:
            self.gaps.append(
                f"plays partition {batch.partition}, offset {batch.offset} begins at source offset {batch.first}, "
                f"the one before it ended at {expected - 1}"
            )
        self.next[batch.partition] = batch.last + 1
        self.batches.append(batch)


def positions(settings: Settings, *, resets: Sequence[int] = ()) -> Verdict:
    """Judge a run that is drained and whose store answers; nothing of `plays` may have been deleted.

    `resets`: epoch ms at which the drill itself moved committed offsets. Raises as `records`.
    """
    history = list(commits(settings, [group_of(settings, stage) for stage in STAGES]))
    reach = Reach()
    for raw in records(settings, topics_of(settings).plays.name):
        reach.add(raw)
    wrong = reach.gaps + went_back(history, resets)
    stored: dict[int, int] | None = None
    try:
        stored = {int(row["p"]): int(row["next"]) for row in rows(settings, STORED)}
    except UnavailableError as error:
        wrong.append(f"what the store holds is not known ({error})")
    wrong += _ahead(settings, history, reach, stored)
    made = [commit for commit in history if commit.offset is not None]
    figures: dict[str, int | float | str] = {
        **{f"{stage}_commits": sum(c.group == group_of(settings, stage) for c in made) for stage in STAGES},
        "plays_records": len(reach.batches),
        "plays_ignored": reach.ignored,
        "resets": len(resets),
    }
    if not made:
        wrong.append("nothing was ever committed")
    if wrong:
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        return Verdict(NAME, False, "; ".join(wrong[:SHOWN]) + more, figures)
    sentence = (
        f"{len(made):,} commits, none back, none ahead at the end; {len(reach.batches):,} plays records without a gap, "
        f"{reach.ignored:,} others ignored"
    )
    return Verdict(NAME, True, sentence, figures)


def is_reset(before: int, after: int, resets: Iterable[int]) -> bool:
    """Whether a reset lies between two instants, epoch ms."""
    return any(before - RESET_MS <= reset <= after + RESET_MS for reset in resets)


def went_back(history: Iterable[Commit], resets: Sequence[int]) -> list[str]:
    """A sentence for each commit below the one before it, but across a reset."""
    last: dict[tuple[str, str, int], Commit] = {}
    found = []
    for commit in history:
        before = last.pop(commit.place, None)
        if commit.offset is None:
            continue  # the group was deleted, whoever has its name begins anew
        last[commit.place] = commit
        if before is None or before.offset is None or commit.offset >= before.offset:
            continue
        if not is_reset(before.at, commit.at, resets):
            found.append(
                f"{commit.group} went back from {before.offset} to {commit.offset} in {commit.topic} "
                f"partition {commit.partition}"
            )
    return found


def _ahead(settings: Settings, history: Iterable[Commit], reach: Reach, stored: Mapping[int, int] | None) -> list[str]:
    last = {commit.place: commit for commit in history}
    topics = topics_of(settings)
    known = {topic.name: ends_of(settings, topic.name) for topic in topics.all()}
    found = []
    for commit in last.values():
        if commit.offset is None or commit.topic not in known:
            continue
        ends, who = known[commit.topic], f"{commit.group} committed {commit.offset} of {commit.topic}"
        who += f" partition {commit.partition}"
        end = ends[commit.partition] if commit.partition < len(ends) else 0
        if commit.offset > end:
            found.append(f"{who}, which ends at {end}")
        if commit.group == group_of(settings, "classify") and (sentence := ahead_of_plays(commit, reach.next)):
            found.append(sentence)
        if commit.group == group_of(settings, "sink") and commit.topic == topics.plays.name:
            found += filter(None, [None if stored is None else ahead_of_store(commit, stored)])
            below = [b.last + 1 for b in reach.batches if b.partition == commit.partition and b.offset < commit.offset]
            if commit.metadata and next_source(commit) != max(below, default=0):
                found.append(f"{who} with next source offset {commit.metadata}, by the log it is {max(below, default=0)}")
    return found


def next_source(commit: Commit) -> int:
    """What the sink of `plays` says with its commit: the next source offset. 0 where it says nothing, as after a reset."""
    return int(commit.metadata) if commit.metadata.isdecimal() else 0


def ahead_of_plays(commit: Commit, reached: Mapping[int, int]) -> str | None:
    """Of a commit of classify: what is wrong, by partition → next source offset of `plays`."""
    applied = reached.get(commit.partition, 0)
    if commit.offset is None or commit.offset <= applied:
        return None
    return f"{commit.group} committed {commit.offset} in partition {commit.partition}, plays was applied up to {applied}"


def ahead_of_store(commit: Commit, stored: Mapping[int, int]) -> str | None:
    """Of a commit of the sink of `plays`, whose metadata is the next source offset: what is wrong, by partition → the
    source offset up to which the store has batches."""
    held, wanted = stored.get(commit.partition, 0), next_source(commit)
    if wanted <= held:
        return None
    return (
        f"{commit.group} committed source offset {wanted} of partition {commit.partition}, the store holds it up to {held}"
    )
