"""Logs that are not what they were: offsets reset, retention ahead of its readers, topics cut, damaged, made anew."""

import time

import stamina
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.embedded.broker_files import broker_dir
from pipeline import admin
from pipeline.drills.crash_points import STAGES
from pipeline.drills.drill import Drill, Load
from pipeline.drills.ground import CLASSIFY, Ground
from pipeline.drills.matrix.side import Case, Side, loud
from pipeline.settings import Settings
from pipeline.topics import Topic, group_of, topics_of

LAST_SECONDS = 2.0
GONE_SECONDS = 30.0
"""Longer than the session of a member that was killed."""
LOST = r"offsets \d+ to \d+"


def resets(ground: Ground) -> None:
    """The offsets of every group to the earliest, the latest and the middle, while its processes are stopped."""
    topics = topics_of(ground.settings)
    groups = {
        "classify": (CLASSIFY, (topics.events,)),
        "rank": (("rank",), (topics.plays, topics.counts)),
        "sink": (("store",), (topics.plays, topics.counts, topics.tops, topics.artists)),
    }
    for where in ("earliest", "latest", "middle"):
        for stage, (names, of) in groups.items():
            ground.loaded()
            ground.stop(*names)
            if where == "latest":
                ground.hold(LAST_SECONDS)  # the latest must not be where it stopped
            reset(ground.settings, stage, of, where)
            ground.resets.append(time.time_ns() // 1_000_000)
            ground.say("fault", f"offsets of {stage} set to the {where}")
            ground.start(*names)
            ground.progressed()
    retention_passes(ground)


def reset(settings: Settings, stage: str, topics: tuple[Topic, ...], where: str) -> None:
    """What `kafka-consumer-groups --reset-offsets` does to a group without members."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, stage)})
    try:
        offsets = []
        for topic in topics:
            for partition in range(topic.partitions):
                low, high = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=30)
                offset = {"earliest": low, "latest": high, "middle": (low + high) // 2}[where]
                offsets.append(TopicPartition(topic.name, partition, offset))
        # A member that was killed stays one until its session is over.
        for attempt in stamina.retry_context(on=KafkaException, attempts=None, timeout=GONE_SECONDS, wait_max=1.0):
            with attempt:
                consumer.commit(offsets=offsets, asynchronous=False)
    finally:
        consumer.close()


def retention_passes(ground: Ground) -> None:
    """In runs of their own: a log is deleted beyond what its reader has read, and the reader names what was lost."""
    source = Side(ground, "cut-source")
    source.work(*STAGES)
    source.publish(ground.seed + 1, realtime=True)
    cut(source, topics_of(source.settings).events)
    plays = Side(ground, "cut-plays")
    plays.work("classify", "rank")
    cut(plays, topics_of(plays.settings).plays)
    cases = [
        source.refused("playback-events deleted past what is classified", "classify", rf"{LOST} were deleted before"),
        plays.refused("plays deleted past what is stored", "store", rf"{LOST} are lost"),
    ]
    ground.verdicts.append(loud("retention", cases))


def cut(side: Side, topic: Topic) -> None:
    """Delete every record there is."""
    admin.delete_records(side.settings, {(topic.name, partition): -1 for partition in range(topic.partitions)})
    side.ground.say("fault", f"everything in {topic.name} is deleted")


def remade(side: Side, topic: Topic) -> None:
    """The topic is deleted and made anew."""
    client = AdminClient({"bootstrap.servers": side.settings.bootstrap})
    for future in client.delete_topics([topic.name]).values():
        future.result(30)
    side.ground.until(f"{topic.name} is gone", lambda: topic.name not in client.list_topics(timeout=30).topics)
    admin.ensure_topics(side.settings)
    side.ground.say("fault", f"{topic.name} is deleted and made anew")


def flipped(side: Side, topic: Topic) -> None:
    """A bit in the middle of each partition's log changes on the disk, under the running broker."""
    for partition in range(topic.partitions):
        (segment,) = (broker_dir(side.settings) / "data" / f"{topic.name}-{partition}").glob("*.log")
        with segment.open("r+b") as file:
            middle = segment.stat().st_size // 2
            file.seek(middle)
            byte = file.read(1)[0]
            file.seek(middle)
            file.write(bytes([byte ^ 0x10]))
    side.ground.say("fault", f"a bit of each partition of {topic.name} is flipped on the disk")


def forged(side: Side) -> None:
    """A record that lies where it says, and leaves source offsets out."""
    topic = topics_of(side.settings).plays.name
    producer = Producer({"bootstrap.servers": side.settings.bootstrap})
    consumer = Consumer({"bootstrap.servers": side.settings.bootstrap, "group.id": "forger"})
    try:
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1]
        first = 1 << 40
        numbers = {"at": end, "first": first, "last": first, "accepted": 1, "watermark": 0}
        names = ("at", "first", "last", "accepted", "duplicate", "late", "skipped", "suspect", "invalid", "ticks", "absent")
        headers = [(name, b"%d" % numbers.get(name, 0)) for name in (*names, "watermark")]
        rules = side.settings.rules.fingerprint.encode()
        producer.produce(topic, b"", partition=0, headers=[*headers, ("rules", rules), ("source", b"")])
        producer.flush(30)
    finally:
        consumer.close()
    side.ground.say("fault", f"a record that skips source offsets is appended to {topic}")


def damaged(ground: Ground) -> None:
    """Each damage to a run of its own, which was complete; each stage that reads the log must refuse it."""
    sides = {
        name: Side(ground, name) for name in ("cut", "remade-source", "remade-plays", "forged", "bit-plays", "bit-source")
    }
    for name, side in sides.items():
        if name != "bit-source":  # what is classified already is never read again
            side.work(*(("classify", "rank") if name == "cut" else STAGES))
    cases: list[Case] = []

    side = sides["cut"]
    cut(side, topics_of(side.settings).plays)
    cases += [
        side.refused("plays cut", "classify", r"was cut: it begins at offset \d+"),
        side.refused("plays cut", "rank", r"was cut|holds outcomes from offset"),
        side.refused("plays cut", "store", rf"{LOST} are lost"),
    ]
    side = sides["remade-source"]
    remade(side, topics_of(side.settings).events)
    side.publish(ground.seed, realtime=True)
    cases.append(side.refused("playback-events made anew", "classify", r"was cut or made anew"))

    side = sides["remade-plays"]
    remade(side, topics_of(side.settings).plays)
    cases += [
        side.refused("plays made anew", "rank", r"was cut or made anew|holds outcomes"),
        side.exact_again("plays made anew, and the whole source is there to make it from"),
    ]
    side = sides["forged"]
    forged(side)
    cases += [side.refused("plays forged", stage, r"was to follow|expected was|was damaged|reach to") for stage in STAGES]
    side = sides["bit-plays"]
    flipped(side, topics_of(side.settings).plays)
    reset(side.settings, "sink", (topics_of(side.settings).plays,), "earliest")
    cases += [side.refused("a bit of plays flipped", stage, r"damaged|[Cc]hecksum|CRC") for stage in ("classify", "store")]
    side = sides["bit-source"]
    flipped(side, topics_of(side.settings).events)
    cases.append(side.refused("a bit of playback-events flipped", "classify", r"is damaged"))
    ground.verdicts.append(loud("damage", cases))


DRILLS = (
    Drill(
        14,
        "offsets-reset",
        "Offsets reset; retention ahead of its readers",
        "the committed offsets of each group set to the earliest, the latest and the middle while its processes are down; "
        "in runs of their own retention passes what classify has read, and what the store has read",
        resets,
        Load(rate=1_000, seconds=130),
        silent=25,
    ),
    Drill(
        15,
        "damaged-logs",
        "plays or the source topic cut, damaged, made anew",
        "in runs of their own: plays cut, made anew, with a forged record, with a flipped bit; playback-events made anew, "
        "with a flipped bit",
        damaged,
        Load(rate=300, seconds=120),
    ),
)
