"""What there is to ask: the run's tables and their columns."""

from typing import Any

Tables = dict[str, dict[str, str]]
"""Of each table by name, its columns in their order with their types."""


def describe(client: Any, database: str) -> Tables:
    """The tables and views of the database, by an own client: no user's SQL may look into system."""
    rows = client.query(
        "SELECT table, name, type FROM system.columns WHERE database = {database:String} ORDER BY table, position",
        parameters={"database": database},
    ).result_rows
    tables: Tables = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return tables
