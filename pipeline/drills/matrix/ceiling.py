"""100% poison: the ceiling trips, classify stands down loudly, nothing goes past it, and after the fix it goes on."""

from typing import Any

from confluent_kafka import Producer

from pipeline.drills.drill import Drill, Load
from pipeline.drills.ground import CLASSIFY, Ground, require
from pipeline.drills.switches import override
from pipeline.drills.told import Verdict
from pipeline.topics import topics_of

CEILING, POISON = 200, 2_000
"""Invalid events in a row that stop a worker, and how many there are in each partition."""
STANDS_SECONDS = 5.0


def flood(ground: Ground) -> list[list[int]]:
    """Records that are no events, right behind one another in every partition; their offsets."""
    topic, partitions = topics_of(ground.settings).events.name, ground.settings.partitions
    offsets: list[list[int]] = [[] for _ in range(partitions)]
    producer = Producer({"bootstrap.servers": ground.settings.bootstrap, "linger.ms": 500, "batch.num.messages": 100_000})

    def answered(error: Any, message: Any) -> None:
        if error is None:
            offsets[message.partition()].append(message.offset())

    for partition in range(partitions):
        for _ in range(POISON):
            producer.produce(topic, b"no event", partition=partition, on_delivery=answered)
    require(producer.flush(30) == 0, "the poison was not taken")
    return [sorted(found) for found in offsets]


def tripped_at(offsets: list[int]) -> int:
    """The offset at which more than the ceiling's number lie in a row."""
    run = 0
    for before, offset in zip([-2, *offsets], offsets, strict=False):
        run = run + 1 if offset == before + 1 else 1
        if run > CEILING:
            return offset
    return -1


def all_poison(ground: Ground) -> None:
    ground.progressed()
    poison = flood(ground)
    ground.say("fault", f"{POISON:,} records that are no events in each partition")
    limits = [tripped_at(offsets) for offsets in poison]
    require(all(limit >= 0 for limit in limits), "valid events lay among the poison: it was no flood")
    took = ground.until("both stand down", lambda: not set(CLASSIFY) & set(ground.stack.pids()))
    ground.hold(STANDS_SECONDS)
    require(not set(CLASSIFY) & set(ground.stack.pids()), "a worker that stood down is up again")
    reached = ground.watch.positions.reached()
    said = [line for name in CLASSIFY for line in ground.log(name).splitlines() if "in a row are invalid" in line]
    past = [f"partition {p}: {reached[p]} > {limit}" for p, limit in enumerate(limits) if reached[p] > limit]
    ground.verdicts.append(
        Verdict(
            "ceiling",
            len(said) >= len(CLASSIFY) and not past,
            f"both stood down within {took:.1f} s, nothing went past the ceiling {past or ''}, and said: {said[-1:]}",
        )
    )
    for name in CLASSIFY:
        override(ground.settings, name, {"dlq_ceiling_consecutive": 10_000_000, "dlq_ceiling_events": 10_000_000})
    ground.say("fault", "the fix: the ceiling is raised, so that the poison passes into the dead-letter queue")
    ground.start(*CLASSIFY)
    ground.progressed(POISON)


DRILLS = (
    Drill(
        13,
        "all-poison",
        "100% poison",
        f"{POISON:,} records that are no events in a row in each partition, ten times the ceiling; then it is raised",
        all_poison,
        Load(seconds=45),
        settings={"dlq_ceiling_consecutive": CEILING},
        silent=40,
    ),
)
