"""The run's topics and groups on the broker: made, checked, deleted."""

import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from pipeline.errors import ListeningError, RefusedError, UnavailableError
from pipeline.settings import Settings
from pipeline.topics import Difference, Topic, differences, group_of, topics_of

ANSWER_SECONDS = 30.0
"""How long the broker may take for one request, and a change to be seen."""
STAGES = ("classify", "rank", "sink")


def wait_for_broker(settings: Settings, seconds: float) -> None:
    """Return as soon as the broker answers a request for its metadata; UnavailableError after `seconds`."""
    client = _client(settings)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            # A node that is still starting answers, but doesn't list itself yet.
            if client.list_topics(timeout=min(left, 1.0)).brokers:
                return
        except KafkaException:
            pass
        client.poll(0.05)
    raise UnavailableError(_no_answer(settings, f"within {seconds:.0f} s"))


def ensure_topics(settings: Settings) -> None:
    """Create the run's topics that are missing; hold those that exist to what the run needs.

    Raises RefusedError naming topic, setting, both values and the remedy; UnavailableError without an answer.
    """
    client, topics = _client(settings), topics_of(settings).all()
    try:
        existing = client.list_topics(timeout=ANSWER_SECONDS).topics
        _create(client, [topic for topic in topics if topic.name not in existing])
        metadata = _wait_for(client, {topic.name for topic in topics}, present=True)
        resources = {topic.name: ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics}
        answers = client.describe_configs(list(resources.values()), request_timeout=ANSWER_SECONDS)
        actual = {resource.name: future.result() for resource, future in answers.items()}
    except KafkaException as error:
        raise _sentence(settings, error) from error
    for topic in topics:
        config = {name: entry.value or "" for name, entry in actual[topic.name].items()}
        for difference in differences(settings, topic, len(metadata[topic.name].partitions), config):
            raise _differs(difference)


def require_run(settings: Settings) -> None:
    """Raise RefusedError where the run has no source topic; UnavailableError without an answer."""
    topic, client = topics_of(settings).events.name, _client(settings)
    try:
        found = client.list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException as error:
        raise _sentence(settings, error) from error
    if topic not in found:
        raise RefusedError(
            f"There is no topic {topic} at {settings.bootstrap}: name the run with --run, or make it with `listening up`."
        )


def topic_id(settings: Settings, topic: str) -> str:
    """The id that the broker gave the topic when it was made; another one means another topic of the same name.

    Raises UnavailableError without an answer.
    """
    client = _client(settings)  # held until the answer is there
    try:
        asked = client.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_SECONDS)
        return str(asked[topic].result().topic_id)
    except KafkaException as error:
        raise _sentence(settings, error) from error


def delete_records(settings: Settings, below: Mapping[tuple[str, int], int]) -> None:
    """Delete records: (topic, partition) → the offset that is to be its first. Raises as `delete_topics`."""
    client = _client(settings)
    try:
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in below.items()]
        for future in client.delete_records(places, request_timeout=ANSWER_SECONDS).values():
            future.result()
    except KafkaException as error:
        raise _sentence(settings, error) from error


def delete_run(settings: Settings) -> None:
    """Delete the run's topics, its consumer groups and its folder; return when they are gone.

    Raises as `delete_topics`, and ListeningError where there is nothing of the run.
    """
    had_topics, had_folder = delete_topics(settings), settings.run_dir.exists()
    if not (had_topics or had_folder):
        raise ListeningError(f"There is no run {settings.run}: no topic at {settings.bootstrap}, no {settings.run_dir}.")
    shutil.rmtree(settings.run_dir, ignore_errors=True)


def delete_topics(settings: Settings) -> bool:
    """Delete the run's topics and its consumer groups; return when they are gone, whether there were any.

    Raises RefusedError while the run's workers are up, UnavailableError without an answer.
    """
    client = _client(settings)
    try:
        ours = {group_of(settings, stage) for stage in STAGES}
        listed = client.list_consumer_groups(request_timeout=ANSWER_SECONDS).result().valid
        groups = sorted(ours & {group.group_id for group in listed})
        if groups:
            for future in client.delete_consumer_groups(groups, request_timeout=ANSWER_SECONDS).values():
                future.result()
        existing = client.list_topics(timeout=ANSWER_SECONDS).topics
        names = sorted({topic.name for topic in topics_of(settings).all()} & set(existing))
        if names:
            for future in client.delete_topics(names, operation_timeout=ANSWER_SECONDS).values():
                future.result()
        _wait_for(client, set(names), present=False)
    except KafkaException as error:
        raise _sentence(settings, error) from error
    return bool(groups or names)


def _client(settings: Settings) -> Any:
    return AdminClient(
        {
            "bootstrap.servers": settings.bootstrap,
            "log_level": 0,  # a broker that isn't up yet is no news for the terminal
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "socket.timeout.ms": int(ANSWER_SECONDS * 1000),
        }
    )


def _create(client: Any, topics: Iterable[Topic]) -> None:
    new = [NewTopic(topic.name, num_partitions=topic.partitions, config=topic.config) for topic in topics]
    if not new:
        return
    for future in client.create_topics(new, operation_timeout=ANSWER_SECONDS).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster: it is checked
                raise


def _wait_for(client: Any, names: set[str], *, present: bool) -> dict[str, Any]:
    """The topics' metadata, once all of `names` are there with a leader each (or none of them is)."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        topics: dict[str, Any] = client.list_topics(timeout=ANSWER_SECONDS).topics
        if present and all(name in topics and _is_led(topics[name]) for name in names):
            return topics
        if not present and names.isdisjoint(topics):
            return topics
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"The broker did not finish {'creating' if present else 'deleting'} topics within {ANSWER_SECONDS:.0f} s: "
                f"{', '.join(sorted(names))}; look at its log and try again."
            )
        client.poll(0.05)


def _is_led(topic: Any) -> bool:
    return bool(topic.partitions) and all(partition.leader >= 0 for partition in topic.partitions.values())


def _differs(difference: Difference) -> RefusedError:
    back = f"set {difference.variable} back, or " if difference.variable else ""
    return RefusedError(
        f"Topic {difference.topic} has {difference.setting}={difference.actual}, but this run needs {difference.wanted}, "
        f"and a run keeps what it began with: {back}begin another run by setting LISTENING_RUN to a new name."
    )


def _sentence(settings: Settings, error: Any) -> ListeningError:
    cause = error.args[0]
    if cause.code() == KafkaError.NON_EMPTY_GROUP:
        return RefusedError(f"Run {settings.run} is in use: stop its `listening up` before it is deleted.")
    if cause.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN):
        return UnavailableError(_no_answer(settings, f"within {ANSWER_SECONDS:.0f} s"))
    return ListeningError(f"The broker at {settings.bootstrap} refused a change to run {settings.run}: {cause.str()}.")


def _no_answer(settings: Settings, bound: str) -> str:
    start = f"start it with `listening up --run {settings.run}`"
    remedy = "check LISTENING_KAFKA_BOOTSTRAP" if settings.kafka_bootstrap else start
    return f"No Kafka broker answered at {settings.bootstrap} {bound}: {remedy}."
