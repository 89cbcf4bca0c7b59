"""The processes of `listening up`: what runs them, where they answer, how one sees that they are ready."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.broker_files import HOST, broker_dir
from pipeline.settings import PREFIX, Settings


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. `logs`: files that tell why it ended, most telling last."""

    name: str
    command: tuple[str, ...]
    address: str
    logs: tuple[Path, ...]
    is_broker: bool = False
    """Started first, ready when Kafka answers; all others are ready when their ready file says so."""


def log_file(settings: Settings, name: str) -> Path:
    """What a process writes to its standard output and error."""
    return settings.run_dir / "logs" / f"{name}.log"


def ready_file(settings: Settings, name: str) -> Path:
    """Holds the pid of the process once it is ready."""
    return settings.run_dir / "ready" / name


def programs_of(settings: Settings) -> tuple[Program, ...]:
    """The processes that the settings ask for: no broker where LISTENING_KAFKA_BOOTSTRAP names one."""
    programs = [
        _python(settings, "classify", "pipeline.workers.classify", settings.bootstrap),
        _python(settings, "rank", "pipeline.workers.rank", settings.bootstrap),
        _python(settings, "store", "pipeline.store", settings.store_url),
    ]
    if settings.kafka_bootstrap is None:
        programs.insert(0, broker_program(settings))
    return tuple(programs)


def broker_program(settings: Settings) -> Program:
    """The embedded broker: Python prepares, then becomes Java."""
    return Program(
        "broker",
        (sys.executable, "-m", "deploy.embedded.broker"),
        f"{HOST}:{settings.kafka_port}",
        (broker_dir(settings) / "broker.log", log_file(settings, "broker")),
        is_broker=True,
    )


def _python(settings: Settings, name: str, module: str, address: str) -> Program:
    return Program(name, (sys.executable, "-m", module), address, (log_file(settings, name),))


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that must load the same settings: this process's, with every setting written out."""
    ours = {PREFIX + name.upper() for name in Settings.model_fields}
    paths = {name: getattr(settings, name) for name in ("data_dir", "cache_dir", "schemas_dir", "api_keys_file")}
    folders = {name: str(path.absolute()) for name, path in paths.items() if path is not None}
    secret = {"api_key": settings.api_key.get_secret_value()} if settings.api_key else {}
    values = settings.model_dump(mode="json") | folders | secret
    written = {PREFIX + name.upper(): str(value) for name, value in values.items() if value is not None}
    return {name: value for name, value in os.environ.items() if name.upper() not in ours} | written
