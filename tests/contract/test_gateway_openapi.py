"""The gateway keeps to its OpenAPI document, whatever it is asked."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as with_settings
from schemathesis.specs.openapi import checks as openapi

from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics
from pipeline.settings import load
from producers.gateway.openapi import FILE
from tests.conftest import new_run
from tests.end_to_end.gateways import key_of, start_gateway
from tests.end_to_end.processes import processes

EXAMPLES = 20
ACK_SECONDS, SECONDS = 60, 90
CHECKS = [
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.response_headers_conformance,
]
"""503 is documented, and 500 is not: an undocumented status covers every other failure of the server."""


@dataclass(frozen=True)
class Served:
    url: str
    secret: str


@pytest.fixture(scope="module")
def served(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_ports(1)[0]
    settings = load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path_factory.mktemp("fuzz"),
        gateway_port=port,
        gateway_ack_seconds=ACK_SECONDS,
    )
    ensure_topics(settings)
    with processes(settings) as running:
        secret = key_of(settings, "fuzz")
        start_gateway(running, settings)
        yield Served(settings.gateway_url, secret)


@schemathesis.openapi.from_path(FILE).parametrize()
@with_settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_documented(case: schemathesis.Case, served: Served) -> None:
    case.headers["Authorization"] = f"Bearer {served.secret}"
    response = case.call_and_validate(base_url=served.url, checks=CHECKS, timeout=SECONDS)
    if response.status_code == 503 and case.path == "/v1/ready":
        # It doesn't wait for a broker that has others to serve too: its silence alone is no error of the gateway's.
        reasons = {name: entry["reason"] for name, entry in response.json()["dependencies"].items()}
        assert "does not answer" in reasons.pop("kafka")
        assert not any(reasons.values()), reasons
        return
    assert response.status_code < 500, response.text
