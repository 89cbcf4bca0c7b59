"""Where a drill can have a worker end by SIGKILL: the names. The seams are in crash_classify.py, crash_rank.py and
crash_store.py."""

from typing import Literal, get_args

Stage = Literal["classify", "rank", "store"]
STAGES: tuple[Stage, ...] = get_args(Stage)

ClassifyPoint = Literal[
    "after fetch",
    "after decide",
    "after append sent",
    "after append acked",
    "before ack",
    "after commit",
    "during restore",
    "during revoke",
    "during a dead-letter write",
]
"""`after append sent`: the record is on its way, whether the broker has written it is open. `after append acked`: it has,
and the state's next offset has not moved. `before ack`: it has moved, and can't have been committed. `after commit`: the
consumer's commit returned. `during restore`: some records are folded, others not. `during revoke`: the callback was called,
the states are still there. `during a dead-letter write`: of a batch's letters at least one is acknowledged, others are not
sent."""

RankPoint = Literal["rank before provisional sent", "rank after final sent", "rank after announce"]
"""A provisional list is made and not sent; a final list is acknowledged; count's announcement is, by every shard. In
both the next offset has not moved."""

StorePoint = Literal["store after insert before commit", "store after commit", "store after commit of top-artists"]
"""Of one topic's sink, whichever comes first; only where rows were inserted."""

Point = ClassifyPoint | RankPoint | StorePoint

POINTS_OF: dict[Stage, tuple[Point, ...]] = {
    "classify": get_args(ClassifyPoint),
    "rank": get_args(RankPoint),
    "store": get_args(StorePoint),
}
POINTS: tuple[Point, ...] = tuple(point for points in POINTS_OF.values() for point in points)
