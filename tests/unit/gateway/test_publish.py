"""The publisher before a real broker: what it says of topics, and where its events lie."""

import asyncio
import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline.admin import ensure_topics
from pipeline.codec.events import decode
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from producers.gateway import publish
from producers.gateway.publish import KafkaPublisher
from producers.ledger import Status
from schemas.model import PlaybackEvent
from tests.end_to_end.gateways import event

SECONDS = 60.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Where the broker may take its time to acknowledge."""
    return settings.model_copy(update={"gateway_ack_seconds": SECONDS})


def made(user: int) -> PlaybackEvent:
    fields = event(user)
    return PlaybackEvent(**(fields | {"event_id": uuid.UUID(fields["event_id"])}))


def test_missing_topics_and_another_number_of_partitions_are_refused_and_a_silent_kafka_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A broker that has others to serve too may take longer than a gateway waits.
    monkeypatch.setattr(publish, "LOOK_SECONDS", SECONDS)
    missing = KafkaPublisher(settings, 1).look()
    assert missing.refuses
    assert f"listening up --run {settings.run}" in missing.why_not
    ensure_topics(settings)
    assert KafkaPublisher(settings, 1).look().why_not == ""
    fewer = KafkaPublisher(load(**(settings.model_dump() | {"partitions": 3})), 1).look()
    assert fewer.refuses
    assert "4 partitions and LISTENING_PARTITIONS is 3" in fewer.why_not
    monkeypatch.undo()
    silent = KafkaPublisher(settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"}), 1).look()
    assert (silent.refuses, "127.0.0.1:1" in silent.why_not) == (False, True)


def test_every_event_lies_where_its_delivery_says_under_its_user_s_key(settings: Settings) -> None:
    ensure_topics(settings)
    events = [made(user) for user in range(1, 101)]
    publisher = KafkaPublisher(settings, 1)

    async def published() -> list[tuple[int | None, int | None]]:
        publisher.start(asyncio.get_running_loop())
        deliveries = [publisher.publish(events[:60]), publisher.publish(events[60:])]
        assert publisher.in_flight == 100
        assert await publisher.settled(SECONDS)
        assert [delivery.acknowledged for delivery in deliveries] == [True, True]
        assert {status for delivery in deliveries for status in delivery.status} == {Status.ACKNOWLEDGED}
        return [place for one in deliveries for place in zip(one.partition, one.offset, strict=True)]

    places = asyncio.run(published())
    assert (publisher.in_flight, publisher.close(10)) == (0, 0)
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "none"})
    topic, found = topics_of(settings).events, {}
    consumer.assign([TopicPartition(topic.name, partition, 0) for partition in range(topic.partitions)])
    while len(found) < 100:
        message = consumer.poll(SECONDS)
        assert message is not None
        assert message.key() == decode(message.value()).user_id.to_bytes(8, "big")
        found[message.partition(), message.offset()] = decode(message.value())
    consumer.close()
    assert [found[place] for place in places] == events


def test_a_call_with_an_event_that_can_t_be_encoded_is_not_under_way(settings: Settings) -> None:
    wrong = made(2).model_copy(update={"track_id": 2**63})

    async def published() -> None:
        publisher = KafkaPublisher(settings, 1)
        publisher.start(asyncio.get_running_loop())
        with pytest.raises((ValueError, OverflowError)):
            publisher.publish([made(1), wrong])
        assert publisher.in_flight == 0
        assert await publisher.settled(0.01)
        publisher.close(0)

    asyncio.run(published())
