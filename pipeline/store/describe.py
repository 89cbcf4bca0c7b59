"""What there is to ask: the run's tables and their columns."""

from pipeline.errors import UnavailableError
from pipeline.store.client import Pool
from pipeline.store.refusals import translated

Tables = dict[str, dict[str, str]]
"""Of each table by name, its columns in their order with their types."""


class Catalogue:
    """The tables and views of the run's database, by an own client: no user's SQL may look into system."""

    def __init__(self, pool: Pool, database: str) -> None:
        self._pool, self.database = pool, database
        self._tables: Tables = {}

    def tables(self) -> Tables:
        """Asked once, as soon as there are any: only migrations make tables. Raises UnavailableError before that."""
        if not self._tables:
            self._tables = self._described()
        return self._tables

    def _described(self) -> Tables:
        self._pool.require_server()
        with translated("ClickHouse can't say which tables there are"):
            rows = self._pool.base.query(
                "SELECT table, name, type FROM system.columns WHERE database = {database:String} ORDER BY table, position",
                parameters={"database": self.database},
            ).result_rows
        if not rows:
            raise UnavailableError("the store is starting, its tables are not there yet: try again later")
        tables: Tables = {}
        for table, column, kind in rows:
            tables.setdefault(table, {})[column] = kind
        return tables
