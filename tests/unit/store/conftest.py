"""The real engine in a folder of its own; tests of one process use it one after the other."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.embedded.ports import free_ports
from pipeline.settings import Settings, load
from pipeline.store import migrate
from pipeline.store.app import make_app
from pipeline.store.client import Pool
from pipeline.store.records import Reader, Record, Rows
from pipeline.store.serve import Server, config_of
from pipeline.store.sinks import Sinks
from pipeline.store.writer import ClickHouseWriter
from tests.unit.store.made import Made

Put = Callable[[Reader, int, list[Made]], list[Rows | None]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No broker: these tests have none."""
    return load(data_dir=tmp_path / "data", partitions=2, store_port=free_ports(1)[0])


@contextmanager
def opened(settings: Settings) -> Iterator[Pool]:
    """The engine with its migrations applied."""
    pool = Pool(settings)
    migrate.migrate(pool.base, settings.database, migrate.load())
    yield pool
    pool.close()


@pytest.fixture
def pool(settings: Settings) -> Iterator[Pool]:
    with opened(settings) as pool:
        yield pool


@pytest.fixture
def put(pool: Pool, settings: Settings) -> Put:
    return putting(pool, settings)


def putting(pool: Pool, settings: Settings) -> Put:
    """Sends records of one partition, at offsets from 0, through a reader into the engine."""
    writer = ClickHouseWriter(pool.base, settings.database)

    def records(reader: Reader, partition: int, made: list[Made]) -> list[Rows | None]:
        all_rows = [reader.read(Record(partition, offset, headers, value)) for offset, (headers, value) in enumerate(made)]
        for table, rows in (entry for some in all_rows if some for entry in some):
            writer.write(table, rows)
        return all_rows

    return records


@contextmanager
def serving(pool: Pool, settings: Settings) -> Iterator[None]:
    """The store's HTTP over the engine, with sinks that never start."""
    app = make_app(settings, pool, Sinks(settings, pool))
    config = config_of(app)
    config.host, config.port = settings.store_host, settings.store_port
    config.timeout_keep_alive = 600  # else a test that pauses for five seconds may send just when its connection is closed
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.listening.wait(120)
        yield
    finally:
        server.should_exit = True
        thread.join(120)


@pytest.fixture
def served(pool: Pool, settings: Settings) -> Iterator[Settings]:
    """A store that answers; the settings to ask it with."""
    with serving(pool, settings):
        yield settings
