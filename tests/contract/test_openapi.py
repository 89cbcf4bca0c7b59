"""The store's HTTP keeps to its OpenAPI document, whatever it is asked."""

import json
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi

from pipeline.api import openapi as document
from tests.unit.api.log import made_log, stored
from tests.unit.store.conftest import serving

EXAMPLES = 15
SECONDS = 30
STREAMS = ["/v1/live"]
"""Answers without an end."""
READY = ("/ready", "/v1/ready")
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.response_headers_conformance,
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stored(tmp_path_factory.mktemp("store"), made_log()) as (known, pool), serving(pool, known):
        yield known.store_url


def test_the_document_in_git_is_what_the_code_says_and_the_store_serves(url: str) -> None:
    kept = document.FILE.read_text()
    assert kept == document.text(), "write it anew: python -m pipeline.api.openapi"
    assert json.loads(kept) == httpx.get(f"{url}/openapi.json", timeout=SECONDS, trust_env=False).json()


def test_the_document_names_what_it_should_and_nothing_of_the_registry() -> None:
    paths = json.loads(document.FILE.read_text())["paths"]
    assert {"/sql", "/schema", "/ready", "/v1/top-artists", "/v1/plays/{event_id}"} <= {*paths}
    assert not [path for path in paths if path.startswith(("/subjects", "/schemas", "/config", "/mode", "/compatibility"))]
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path} says nothing of itself"
            assert {"403", "421"} <= {*operation["responses"]}
            assert "422" not in operation["responses"]


@schemathesis.openapi.from_path(document.FILE).exclude(path=STREAMS).parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_documented(case: schemathesis.Case, url: str) -> None:
    # That a store isn't ready is an answer of these, not an error; an undocumented status they may not have, either.
    checked = [check for check in CHECKS if case.path not in READY or check is not checks.not_a_server_error]
    case.call_and_validate(base_url=url, checks=checked, timeout=SECONDS)
