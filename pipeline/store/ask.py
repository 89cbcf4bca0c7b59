"""Ask a running store, over HTTP."""

from collections.abc import Mapping
from typing import Any, Protocol

import httpx
import pyarrow as pa

from pipeline.errors import ListeningError, UnavailableError
from pipeline.settings import Settings

SECONDS = 60.0
"""Above the store's own limit for a query and the wait for a seat."""
RUN_HEADER = "Listening-Run"
"""Whose tables are meant: a store of another run refuses, where it would answer from its own."""


class Asked(Protocol):
    """Who answers a question of ours: `rows` over HTTP, or the engine itself where it is in this process."""

    def __call__(
        self, settings: Settings, query: str, parameters: Mapping[str, str | int] | None = None
    ) -> list[dict[str, Any]]: ...


def sql(
    settings: Settings, query: str, parameters: Mapping[str, str | int] | None = None, *, seconds: float = SECONDS
) -> pa.Table:
    """The answer to one reading SQL statement; `parameters` fill its `{name:Type}`. `seconds`: how long it may take.

    Raises ListeningError with the engine's sentence, UnavailableError where the store is away or busy.
    """
    named = {f"param_{name}": str(value) for name, value in (parameters or {}).items()}
    response = _request(settings, "POST", "/sql", seconds, content=query.encode(), params=named)
    if response.status_code == httpx.codes.OK:
        return pa.ipc.open_stream(response.content).read_all()
    detail = _detail(response)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise UnavailableError(detail)
    raise ListeningError(detail)


def rows(
    settings: Settings, query: str, parameters: Mapping[str, str | int] | None = None, *, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """As `sql`, for short answers: a dictionary a row."""
    answer: list[dict[str, Any]] = sql(settings, query, parameters, seconds=seconds).to_pylist()
    return answer


def ready(settings: Settings, *, seconds: float = SECONDS) -> dict[str, Any]:
    """What the store says of itself: `status` is `ready` or `starting`, then `reasons` say why; lag per topic.

    Raises UnavailableError where it doesn't answer.
    """
    response = _request(settings, "GET", "/ready", seconds)
    if response.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
        raise ListeningError(f"what answers at {settings.store_url} is no store: {_detail(response)}")
    answer: dict[str, Any] = response.json()
    return answer


def schema(settings: Settings) -> dict[str, dict[str, str]]:
    """The run's tables by name, each with its columns and their types.

    Raises UnavailableError where the store doesn't answer.
    """
    response = _request(settings, "GET", "/schema", SECONDS)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise UnavailableError(_detail(response))
    if response.status_code == httpx.codes.CONFLICT:
        raise ListeningError(_detail(response))
    if response.status_code != httpx.codes.OK:
        raise ListeningError(f"what answers at {settings.store_url} is no store: {_detail(response)}")
    tables: dict[str, dict[str, str]] = response.json()
    return tables


def get(settings: Settings, path: str, parameters: Mapping[str, str | int] | None = None) -> dict[str, Any]:
    """The document that the API answers under `path`.

    Raises ListeningError with the refusal's sentence, UnavailableError where the store is away or busy.
    """
    response = _request(settings, "GET", path, SECONDS, params=dict(parameters or {}))
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise UnavailableError(_detail(response))
    if response.status_code != httpx.codes.OK:
        raise ListeningError(_detail(response))
    answer: dict[str, Any] = response.json()
    if answer.get("run", settings.run) != settings.run:
        raise ListeningError(
            f"the store at {settings.store_url} is that of run {answer['run']}: ask with --run {answer['run']}, "
            f"or start {settings.run} instead"
        )
    return answer


def _request(settings: Settings, method: str, path: str, seconds: float, **arguments: Any) -> httpx.Response:
    try:
        # trust_env off: a proxy from the environment has no business between us and loopback.
        with httpx.Client(
            base_url=settings.store_url, headers={RUN_HEADER: settings.run}, timeout=seconds, trust_env=False
        ) as client:
            return client.request(method, path, **arguments)
    except httpx.TimeoutException as error:
        raise UnavailableError(f"the store at {settings.store_url} did not answer within {seconds:.0f} s") from error
    except httpx.TransportError as error:
        raise UnavailableError(
            f"the store does not answer at {settings.store_url}: start it with `listening up --run {settings.run}`"
        ) from error


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"
