"""ClickHouse's tables in memory: ReplacingMergeTree by the identities that the migrations declare, read as with FINAL."""

import re
from functools import cache
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from pipeline.store import migrate
from pipeline.store.positions import HELD
from pipeline.store.tables import SCHEMAS
from pipeline.store.writer import checked
from pipeline.verify.tables import Shape, normalise

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+).*?ENGINE = ReplacingMergeTree(?:\((\w+)\))?\s+ORDER BY ([^;]+)", re.S)
Row = dict[str, Any]


@cache
def identities() -> dict[str, tuple[tuple[str, ...], str]]:
    """Table → its identity's columns, and the column of its version (empty: the last one written stands)."""
    found = {}
    for migration in migrate.load():
        for name, version, order in _TABLE.findall("\n;\n".join(migration.statements)):
            found[name] = (tuple(re.findall(r"\w+", order)), version)
    return found


def _in_ms(rows: pa.Table) -> pa.Table:
    """Times as epoch ms."""
    return rows.cast(
        pa.schema([(field.name, pa.int64() if pa.types.is_timestamp(field.type) else field.type) for field in rows.schema])
    )


class MemoryStore:
    """A writer, rows to compare, and what the sink asks whether it holds something."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[Any, ...], Row]] = {name: {} for name in SCHEMAS}

    def write(self, table: str, rows: pa.Table) -> None:
        identity, version = identities()[table]
        for row in _in_ms(checked(table, rows)).to_pylist():
            key = tuple(row[name] for name in identity)
            before = self.tables[table].get(key)
            if before is None or not version or row[version] >= before[version]:
                self.tables[table][key] = row

    def rows(self, shape: Shape, first: int = 0, end: int | None = None) -> pa.Table:
        found = [
            row
            for row in self.tables[shape.name].values()
            if "source_offset" not in shape.keys or first <= row["source_offset"] < (2**62 if end is None else end)
        ]
        return normalise(pa.Table.from_pylist(found, SCHEMAS[shape.name]), shape)

    def query(self, sql: str, parameters: dict[str, int]) -> Any:
        """The answers to `positions.HELD`."""
        partition = parameters["partition"]
        match next(kind for kind, text in HELD.items() if text == sql):
            case "plays":
                mine = [row for row in self.tables["batches"].values() if row["source_partition"] == partition]
                held = any(row["last_offset"] + 1 >= parameters["next"] for row in mine)
            case "artist-counts":
                held = any(row["shard"] == partition for row in self.tables["count_positions"].values())
            case "top-artists":
                held = any(row["shard"] == partition for row in self.tables["top_artists"].values())
            case other:
                raise AssertionError(f"nobody asks of {other}")
        return SimpleNamespace(result_rows=[(int(held),)])
