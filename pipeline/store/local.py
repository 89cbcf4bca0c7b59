"""Our own questions, answered within the store's process."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.exceptions import Error as EngineError

from pipeline.errors import ListeningError, RefusedError, SettingsError, UnavailableError
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.refusals import sentence

LIMITS = ("TIMEOUT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED", "TOO_MANY_ROWS", "TOO_MANY_ROWS_OR_BYTES")
"""No retry mends these."""


class Local:
    """An `Asked` (pipeline/store/ask.py) over the pool's engine: the same rows, with no HTTP and no fence between."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __call__(
        self,
        settings: Settings,  # noqa: ARG002  (the pool is of one run)
        query: str,
        parameters: Mapping[str, str | int] | None = None,
    ) -> list[dict[str, Any]]:
        """Raises UnavailableError where the engine is away or busy, ListeningError where the question goes beyond its
        limits."""
        given = {name: str(value) for name, value in (parameters or {}).items()} or None
        try:
            with self._pool.reader() as client:
                stream: Any = client.raw_query(query, parameters=given, fmt="ArrowStream")
        except EngineError as error:
            told = sentence(error)
            if any(f"({limit})" in told for limit in LIMITS):
                raise ListeningError(f"the question reads too much, ask of a shorter span: {told}") from error
            raise UnavailableError(f"the store can't answer just now: {told}") from error
        except (SettingsError, RefusedError) as error:  # a client could not be opened
            raise UnavailableError(str(error)) from error
        rows: list[dict[str, Any]] = pa.ipc.open_stream(stream).read_all().to_pylist()
        return rows
