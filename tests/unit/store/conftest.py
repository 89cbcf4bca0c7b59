"""The real engine in a folder of its own; tests of one process use it one after the other."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from deploy.embedded.ports import free_ports
from pipeline.settings import Settings, load
from pipeline.store import migrate
from pipeline.store.app import make_app
from pipeline.store.client import Pool
from pipeline.store.records import Reader, Record, Rows
from pipeline.store.sinks import Sinks
from pipeline.store.writer import ClickHouseWriter
from tests.unit.store.made import Made

Put = Callable[[Reader, int, list[Made]], list[Rows | None]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No broker: these tests have none."""
    return load(data_dir=tmp_path / "data", partitions=2, store_port=free_ports(1)[0])


@pytest.fixture
def pool(settings: Settings) -> Iterator[Pool]:
    pool = Pool(settings)
    migrate.migrate(pool.base, settings.database, migrate.load())
    yield pool
    pool.close()


@pytest.fixture
def put(pool: Pool, settings: Settings) -> Put:
    """Sends records of one partition, at offsets from 0, through a reader into the engine."""
    writer = ClickHouseWriter(pool.base, settings.database)

    def records(reader: Reader, partition: int, made: list[Made]) -> list[Rows | None]:
        all_rows = [reader.read(Record(partition, offset, headers, value)) for offset, (headers, value) in enumerate(made)]
        for table, rows in (entry for some in all_rows if some for entry in some):
            writer.write(table, rows)
        return all_rows

    return records


@pytest.fixture
def served(pool: Pool, settings: Settings) -> Iterator[Settings]:
    """The store's HTTP over the engine, with sinks that never start; the settings to ask it with."""
    app = make_app(settings, pool, Sinks(settings, pool))
    config = uvicorn.Config(app, host=settings.store_host, port=settings.store_port, log_config=None)
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def tell(*arguments: object, **named: object) -> None:
        await startup(*arguments, **named)  # type: ignore[arg-type]
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(20)
    yield settings
    server.should_exit = True
    thread.join(20)
