"""The rig: a broker of its own in a folder that is deleted, and one topic that everybody reads in turn."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.embedded.broker import prepare, running_command
from deploy.embedded.broker_files import broker_dir
from deploy.embedded.ports import free_ports
from deploy.embedded.programs import environment
from pipeline.admin import ANSWER_SECONDS, ensure_topics
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from pipeline.verify.readlog import end_offsets
from tests.benchmarks.processes import Children, children
from tests.benchmarks.source import publish

RUN = "bench"
GATHER_MS = 3000
"""The broker waits so long for the members of a new group: two workers then share its partitions from the first event on.
In production it does not wait."""
MIN_PLAY_SECONDS = 1
"""The peers count every play, so nearly every play is to count with us, too."""
LEFT_SECONDS = 30.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Rig:
    """`events`: of the topic; `ends`: each partition's end offset, ticks included. `folder`: for files of one turn."""

    settings: Settings
    folder: Path
    events: int
    ends: tuple[int, ...]

    @property
    def topic(self) -> str:
        return topics_of(self.settings).events.name

    @property
    def records(self) -> int:
        """Events and ticks."""
        return sum(self.ends)

    @contextmanager
    def turn(self) -> Iterator[Children]:
        """Processes of one turn, in a folder of its own; they have ended when the block ends."""
        folder = self.folder / "turn"
        shutil.rmtree(folder, ignore_errors=True)
        temporary = folder / "tmp"
        temporary.mkdir(parents=True)
        with children(folder, environment(self.settings) | {"TMPDIR": str(temporary)}) as group:
            yield group

    def clear(self) -> None:
        """Delete all that came of the events: topics, our groups, our files; the derived topics are made anew."""
        shutil.rmtree(self.folder / "turn", ignore_errors=True)
        for name in ("metrics", "ready", "store", "workers"):
            shutil.rmtree(self.settings.run_dir / name, ignore_errors=True)
        client = AdminClient({"bootstrap.servers": self.settings.bootstrap, "log_level": 0})
        _delete_groups(client)
        names = [name for name in client.list_topics(timeout=ANSWER_SECONDS).topics if not name.startswith("__")]
        if names := [name for name in names if name != self.topic]:
            for future in client.delete_topics(names, operation_timeout=ANSWER_SECONDS).values():
                future.result()
        _until("topics are deleted", lambda: set(names).isdisjoint(client.list_topics(timeout=ANSWER_SECONDS).topics))
        ensure_topics(self.settings)

    def make_topic(self, name: str) -> None:
        """A topic for what a peer puts out."""
        client = AdminClient({"bootstrap.servers": self.settings.bootstrap, "log_level": 0})
        for future in client.create_topics([NewTopic(name, self.settings.partitions)]).values():
            future.result()


def _delete_groups(client: AdminClient) -> None:
    """Those of our run for certain; a peer's, which nobody will join again, as far as it has left them."""
    members: list[str] = []

    def gone() -> bool:
        listed = client.list_consumer_groups(request_timeout=ANSWER_SECONDS).result().valid
        groups = [group.group_id for group in listed]
        for future in client.delete_consumer_groups(groups, request_timeout=ANSWER_SECONDS).values() if groups else ():
            try:
                future.result()
            except KafkaException:
                continue  # a member that was killed has not timed out yet
        left = client.list_consumer_groups(request_timeout=ANSWER_SECONDS).result().valid
        members[:] = [group.group_id for group in left if group.group_id.startswith(f"{RUN}.")]
        return not members

    _until("the groups are empty", gone)


def _until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LEFT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {LEFT_SECONDS:.0f} s")
        time.sleep(0.1)


@contextmanager
def rig(events: int, progress: Progress) -> Iterator[Rig]:
    """The rig with its topic published; broker and folder are gone when the block ends. Raises ListeningError."""
    with tempfile.TemporaryDirectory(prefix="listening-bench-", ignore_cleanup_errors=True) as scratch:
        settings = bench_settings(Path(scratch), RUN)
        progress(f"starting the broker at {settings.bootstrap}")
        with broker(settings):
            progress(f"publishing {events:,} events")
            publish(settings, events, progress)
            made = Rig(settings, Path(scratch), events, tuple(end_offsets(settings)))
            made.clear()
            yield made


@contextmanager
def broker(settings: Settings) -> Iterator[None]:
    """The embedded broker, which gathers the members of a new group for GATHER_MS."""
    command = prepare(settings)
    properties = broker_dir(settings) / "server.properties"
    text, name = properties.read_text(), "group.initial.rebalance.delay.ms"
    properties.write_text(text.replace(f"{name}=0\n", f"{name}={GATHER_MS}\n"))
    with running_command(settings, command):
        yield


def bench_settings(folder: Path, run: str, *, append_time: bool = False) -> Settings:
    """Settings of a run on a broker of its own; its ports are free ones where the environment names none."""
    ports = dict(zip(("kafka_port", "kafka_controller_port", "store_port"), free_ports(3), strict=True))
    chosen = {name: port for name, port in ports.items() if f"LISTENING_{name.upper()}" not in os.environ}
    settings = load(run=run, append_time=append_time, min_play_seconds=MIN_PLAY_SECONDS, data_dir=folder, **chosen)
    return settings.model_copy(update={"kafka_bootstrap": None, "clickhouse_dsn": None, "schema_registry_url": None})
