"""Numbered migrations on the real engine."""

from pathlib import Path

import pytest

from pipeline.errors import RefusedError
from pipeline.settings import Settings
from pipeline.store import migrate
from pipeline.store.client import Pool
from pipeline.store.tables import SCHEMAS


def test_migrations_are_applied_once_and_recorded(pool: Pool, settings: Settings) -> None:
    names = [path.name for path in sorted(migrate.FOLDER.glob("*.sql"))]
    assert migrate.migrate(pool.base, settings.database, migrate.load()) == []
    assert [row[0] for row in pool.base.query("SELECT name FROM migrations ORDER BY number").result_rows] == names


def test_a_crash_between_a_migration_and_its_record_is_mended_by_the_next_start(pool: Pool, settings: Settings) -> None:
    pool.base.command("TRUNCATE TABLE migrations")
    assert len(migrate.migrate(pool.base, settings.database, migrate.load())) == len(migrate.load())


def test_every_table_has_the_columns_that_are_written_to_it(pool: Pool) -> None:
    rows = pool.base.query("SELECT table, name FROM system.columns WHERE database = currentDatabase()").result_rows
    for table, schema in SCHEMAS.items():
        assert {name for of, name in rows if of == table} == set(schema.names)


def test_no_table_is_partitioned_so_rows_of_one_identity_always_merge(pool: Pool) -> None:
    query = (
        "SELECT DISTINCT partition_key, engine FROM system.tables WHERE database = currentDatabase() AND engine != 'View'"
    )
    assert pool.base.query(query).result_rows == [("", "ReplacingMergeTree")]


def test_an_edited_migration_is_refused_by_name(pool: Pool, settings: Settings, tmp_path: Path) -> None:
    for path in migrate.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text().replace("UInt16", "UInt32"))
    with pytest.raises(RefusedError, match=r"another 0001_plays.sql"):
        migrate.migrate(pool.base, settings.database, migrate.load(tmp_path))


def test_comments_and_layout_of_a_migration_may_change(pool: Pool, settings: Settings, tmp_path: Path) -> None:
    for path in migrate.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text("-- a word on it; with a semicolon\n" + path.read_text())
    assert migrate.migrate(pool.base, settings.database, migrate.load(tmp_path)) == []


def test_a_database_of_a_newer_version_is_refused(pool: Pool, settings: Settings) -> None:
    with pytest.raises(RefusedError, match="newer version"):
        migrate.migrate(pool.base, settings.database, migrate.load()[:1])


def test_numbers_with_a_gap_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_late.sql").write_text("SELECT 1")
    with pytest.raises(RefusedError, match="without gaps"):
        migrate.load(tmp_path)
