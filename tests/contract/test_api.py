"""The query API answers the same over the embedded engine and over a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.drills.front_process import front
from tests.unit.api.log import made_log, stored
from tests.unit.api.test_state import told
from tests.unit.store.conftest import serving
from tests.unit.store.made import event_id

OF_NOW = {"age_ms", "max_age_ms", "at", "event_lag_seconds", "age_seconds"}
OF_KAFKA = {"reasons", "lag", "dlq"}
"""There is none here, and when that is known is chance."""
OF_THE_ENGINE = {"milliseconds", "rows_stored", "bytes_on_disk", "rows_read", "bytes_read"}
ASKED = (
    "top-artists?k=5",
    "top-artists?k=5&window=600&published=true",
    "top-artists?country=DE&platform=web",
    "timeline?step=60",
    "artists/1/timeline",
    "duplicates?limit=7",
    "batches?limit=3",
    f"plays/{event_id(0)}",
    f"plays/{event_id(10**6)}",
    "storage",
    "state",
    "health",
)


def lasting(answer: Any) -> Any:
    """An answer without what depends on when, and where, it was given."""
    if isinstance(answer, dict):
        return {name: lasting(value) for name, value in answer.items() if name not in OF_NOW | OF_KAFKA | OF_THE_ENGINE}
    return [lasting(one) for one in answer] if isinstance(answer, list) else answer


def answers(folder: Path, **overrides: Any) -> dict[str, tuple[int, Any]]:
    with stored(folder, made_log(), **overrides) as (settings, pool), serving(pool, settings):
        url = settings.store_url
        told(settings)  # until it has looked at everything
        given = {path: httpx.get(f"{url}/v1/{path}", trust_env=False, timeout=60) for path in ASKED}
    return {path: (answer.status_code, lasting(answer.json())) for path, answer in given.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with front(tmp_path_factory.mktemp("server")) as running:
        yield running.dsn


def test_every_question_has_one_answer_whichever_engine_is_behind_it(server: str, tmp_path: Path) -> None:
    embedded = answers(tmp_path / "embedded")
    assert {path: status for path, (status, _) in embedded.items() if status != 200} == {f"plays/{event_id(10**6)}": 404}
    assert embedded["top-artists?k=5"][1]["rows"]
    assert answers(tmp_path / "server", clickhouse_dsn=server) == embedded
