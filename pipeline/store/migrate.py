"""Numbered SQL files, applied once each, in order, at start."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import RefusedError
from pipeline.store.statements import split, text_of

FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """`NNNN_name.sql`: its number, file name, statements, and a hash of what they mean."""

    number: int
    name: str
    statements: tuple[str, ...]
    digest: str


def load(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of a folder by number. Raises RefusedError where numbers do not run 1, 2, 3, …"""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_\w+\.sql", path.name)
        if match is None:
            raise RefusedError(f"{path} is no migration: it must be named NNNN_name.sql")
        statements = tuple(text_of(statement) for statement in split(path.read_text()))
        digest = hashlib.sha256(";".join(" ".join(text.split()) for text in statements).encode()).hexdigest()[:16]
        found.append(Migration(int(match[1]), path.name, statements, digest))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise RefusedError(f"migrations in {folder} must be numbered 0001, 0002, … without gaps or repeats")
    return found


def migrate(client: Any, database: str, migrations: list[Migration]) -> list[str]:
    """Create the database and apply what is missing; the names of those applied now.

    Statements are written so that applying one twice does no harm: a crash half-way leaves nothing to mend.
    Raises RefusedError where the database was made by other migrations than these.
    """
    # The name comes from settings.database, which allows nothing that would need quoting.
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}", use_database=False)
    client.database = database
    client.command(
        "CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String, digest String, applied_at DateTime64(3, 'UTC'))"
        " ENGINE = ReplacingMergeTree ORDER BY number"
    )
    rows = client.query("SELECT number, name, digest FROM migrations FINAL ORDER BY number").result_rows
    _check(database, rows, migrations)
    missing = migrations[len(rows) :]
    for migration in missing:
        for statement in migration.statements:
            client.command(statement)
        client.command(
            "INSERT INTO migrations SELECT {number:UInt32}, {name:String}, {digest:String}, now64(3)",
            parameters={"number": migration.number, "name": migration.name, "digest": migration.digest},
        )
    return [migration.name for migration in missing]


def _check(database: str, rows: list[Any], migrations: list[Migration]) -> None:
    if len(rows) > len(migrations):
        raise RefusedError(
            f"the store's database {database} was made by a newer version of this program (it has {rows[-1][1]}): "
            "use that version, or another run by LISTENING_RUN"
        )
    for (_, name, digest), migration in zip(rows, migrations, strict=False):
        if (name, digest) != (migration.name, migration.digest):
            raise RefusedError(
                f"the store's database {database} was made by another {name} than {migration.name} is here: "
                "an applied migration must not be edited; restore the file, or use another run by LISTENING_RUN"
            )
