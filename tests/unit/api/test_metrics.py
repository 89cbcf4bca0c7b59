"""The metrics: valid, merged from the workers' files, bounded in their labels, and those that the dashboard asks for."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.embedded.ports import free_ports
from pipeline.api.textfiles import merged
from pipeline.metrics import ClassifyMetrics, metrics_file
from pipeline.settings import Settings, load
from pipeline.store.sink import Progress
from tests.unit.api.test_state import WRITTEN, get, never_overdue, told, write
from tests.unit.store.conftest import opened, putting, serving

DEPLOY = Path(__file__).parents[3] / "deploy"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A store with what classify workers left in their files: one that was ended, and one that is at work."""
    settings = load(data_dir=tmp_path_factory.mktemp("store"), partitions=2, store_port=free_ports(1)[0])
    ended, at_work = (ClassifyMetrics(metrics_file(settings.run_dir, "classify", pid)) for pid in (7, 9))
    for age, (metrics, columnar, remembered) in enumerate(((at_work, 200, 11), (ended, 30, 5))):
        metrics.columnar.inc(columnar)
        metrics.remembered.labels("0").set(remembered)
        metrics.events.labels("accepted").inc(1_000_000)
        metrics.write()
        os.utime(metrics._path, (1_000_000 - age, 1_000_000 - age))
    (settings.run_dir / "metrics" / "classify-1.prom").write_text("no { metric")
    with opened(settings) as pool, never_overdue():
        write(putting(pool, settings), settings)
        with serving(pool, settings):
            told(settings)
            yield settings


def samples(text: str) -> Samples:
    """By Prometheus' own parser; no sample and no family twice."""
    found: Samples = {}
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("listening_")
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_state_and_the_workers_files_are_one_text(served: Settings) -> None:
    told(served)  # until the store was looked at
    response = get(served, "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    found = samples(response.text)
    rows = [row for some in WRITTEN.values() for row in some]
    # The workers' own accepted events are fewer or more than what is stored, as they were restarted: the state's stand.
    assert value(found, "listening_events_total", outcome="accepted") == sum(row["outcome"] == "accepted" for row in rows)
    assert value(found, "listening_events_total", outcome="duplicate") == sum(row["outcome"] == "duplicate" for row in rows)
    assert value(found, "listening_window_final_behind_seconds") == 70
    assert value(found, "listening_dependency_up", dependency="clickhouse") == 1
    assert value(found, "listening_dependency_up", dependency="kafka") == 0
    # Counters of all workers are added up; of a gauge the newest stands.
    assert value(found, "listening_columnar_events_total") == 230
    assert value(found, "listening_remembered_ids", partition="0") == 11
    assert not [name for name, _ in found if name.endswith("_created")]


def test_requests_are_counted_by_route_template_never_by_path(served: Settings) -> None:
    before = samples(get(served, "/v1/metrics").text)
    for path in ("/v1/health", "/v1/health", "/nothing/1", "/nothing/2", "/v1/batches/x/y"):
        get(served, path)
    httpx.request("PROPFIND", f"{served.store_url}/v1/health", timeout=30, trust_env=False)
    found = samples(get(served, "/v1/metrics").text)
    requests = {labels: n for (name, labels), n in found.items() if name == "listening_http_requests_total"}
    assert value(found, "listening_http_requests_total", method="GET", route="/v1/health", status="200") >= 2
    missing = {"method": "GET", "route": "other", "status": "404"}
    asked_before = before.get(("listening_http_requests_total", frozenset(missing.items())), 0)
    assert value(found, "listening_http_requests_total", **missing) - asked_before == 3
    assert value(found, "listening_http_requests_total", method="other", route="/v1/health", status="405") == 1
    assert {dict(labels)["route"] for labels in requests} <= {"/v1/health", "/v1/metrics", "/v1/live", "/metrics", "other"}


def test_files_that_are_none_or_gone_are_passed_over(tmp_path: Path) -> None:
    assert merged(tmp_path / "nowhere") == []
    (tmp_path / "a.prom").write_text('# TYPE a_total counter\na_total{x="1"} 2\n')
    (tmp_path / "b.prom").write_text('# TYPE a_total counter\na_total{x="1"} 3\na_total{x="2"} 4\n')
    (tmp_path / "c.prom").write_bytes(b"\xff\xfe\0")
    (family,) = merged(tmp_path)
    assert {sample.labels["x"]: sample.value for sample in family.samples} == {"1": 5, "2": 4}
    assert merged(tmp_path, without=["a"]) == []


def test_a_sink_s_delay_is_that_of_what_waits_else_of_what_was_stored_last() -> None:
    progress = Progress("plays")
    assert progress.delay(50.0) == 0
    progress.waits_since = 50.0
    assert progress.delay(57.0) == 7
    progress.waits_since, progress.waited = None, 8.0
    assert progress.delay(90.0) == 8
    progress.waits_since = 90.0
    assert [progress.delay(now) for now in (91.0, 99.0)] == [8, 9]


def test_each_metric_that_the_dashboard_asks_for_exists(served: Settings) -> None:
    told = {family.name: family.type for family in text_string_to_metric_families(get(served, "/metrics").text)}
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"listening_\w+", target["expr"])
    }
    assert len(asked) >= 10
    for name in asked:
        family = name.removesuffix("_total")
        assert told.get(family) == ("counter" if name.endswith("_total") else "gauge"), name


def test_prometheus_scrapes_a_path_that_is_served_on_the_default_port() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{load().store_port}"]}]
    assert job["metrics_path"] == "/metrics"
