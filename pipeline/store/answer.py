"""Answer a user's SQL: admit its text, judge its meaning, run it with limits.

1. fence.admit: one SELECT, wrapped           3. ast.judge: only the run's tables, only functions of the list
2. EXPLAIN AST of that very statement         4. run that very statement, on the same client
"""

from collections.abc import Collection, Mapping
from typing import Any

from clickhouse_connect.driver.exceptions import Error as EngineError

from pipeline.errors import ListeningError
from pipeline.store.ast import judge
from pipeline.store.client import GUEST_SETTINGS, Pool
from pipeline.store.fence import admit
from pipeline.store.refusals import sentence


def answer(pool: Pool, database: str, tables: Collection[str], query: str, parameters: Mapping[str, str]) -> bytes:
    """The answer as an Arrow stream; `tables` are those of the run's database, to be named in refusals.

    Raises ListeningError where the query is refused or fails, in one sentence; UnavailableError where the store is busy.
    """
    statement = admit(query, parameters, tables)
    given = dict(parameters) or None
    try:
        with pool.guest() as client:
            databases = [name for (name,) in client.query("SELECT name FROM system.databases").result_rows]
            lines = [line for (line,) in client.query(f"EXPLAIN AST {statement}", parameters=given).result_rows]
            judge(lines, database, tables, databases)
            stream: Any = client.raw_query(statement, parameters=given, fmt="ArrowStream")
            return bytes(stream)
    except EngineError as error:
        raise ListeningError(_sentence(error, tables)) from error
    except (TypeError, ValueError) as error:  # parameters that don't fit the statement
        raise ListeningError(sentence(error)) from error


def _sentence(error: EngineError, tables: Collection[str]) -> str:
    text = sentence(error)
    if "(UNKNOWN_TABLE)" in text:
        return f"{text}; this run has {', '.join(tables)}"
    limits = {name: int(value) for name, value in GUEST_SETTINGS.items() if value.isdigit()}
    allowed = {
        "TIMEOUT_EXCEEDED": f"may take {limits['max_execution_time']} s",
        "MEMORY_LIMIT_EXCEEDED": f"may use {limits['max_memory_usage'] >> 20} MiB",
        "TOO_MANY_ROWS": f"may read {limits['max_rows_to_read']:,} rows",
        "TOO_MANY_ROWS_OR_BYTES": f"may answer {limits['max_result_rows']:,} rows, {limits['max_result_bytes'] >> 20} MiB",
    }
    for name, limit in allowed.items():
        if f"({name})" in text:
            return f"the query was stopped, it {limit}: {text}"
    return text
