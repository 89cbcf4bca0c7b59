"""What a store says that holds nothing, keeps its answers, or has no engine."""

from pathlib import Path

import httpx
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deploy.embedded.ports import free_ports
from pipeline.settings import load
from pipeline.store.client import Pool
from pipeline.store.readers import PlaysReader
from pipeline.store.records import Record
from pipeline.store.serve import config_of
from pipeline.store.writer import ClickHouseWriter
from tests.unit.api.log import stored
from tests.unit.store.conftest import serving
from tests.unit.store.made import event_id, play, plays


def test_a_run_without_anything_answers_that(tmp_path: Path) -> None:
    with stored(tmp_path, None) as (settings, pool), serving(pool, settings):
        client = httpx.Client(base_url=settings.store_url, trust_env=False, timeout=30)
        for query in ({}, {"country": "DE"}, {"published": "true"}):
            answer = client.get("/v1/top-artists", params=query).json()
            assert [answer[name] for name in ("rows", "start", "end", "watermark", "final")] == [[], None, None, None, False]
            assert answer["note"]
        answer = client.get("/v1/timeline").json()
        assert [answer[name] for name in ("points", "first", "watermark")] == [[], None, None]
        for path in ("duplicates", "batches"):
            assert client.get(f"/v1/{path}").json() == {"rows": [], "next": None, "age_ms": 0, "max_age_ms": 1000}
        for path in (f"plays/{event_id(1)}", "artists/1/timeline"):
            assert client.get(f"/v1/{path}").status_code == 404


def test_an_answer_is_kept_and_says_its_age(tmp_path: Path) -> None:
    with stored(tmp_path, None, api_cache_seconds=60) as (settings, pool), serving(pool, settings):
        client = httpx.Client(base_url=settings.store_url, trust_env=False, timeout=30)
        before = client.get("/v1/batches")
        made = plays(0, [play(0)], settings.rules.fingerprint)
        for table, rows in PlaysReader(settings.rules.fingerprint).read(Record(0, 0, *made)) or []:
            ClickHouseWriter(pool.base, settings.database).write(table, rows)
        again = client.get("/v1/batches")
        assert before.json() | {"age_ms": 0} == again.json() | {"age_ms": 0}
        assert 0 <= again.json()["age_ms"] <= again.json()["max_age_ms"] == 60_000
        assert before.headers["content-type"] == again.headers["content-type"] == "application/json"
        assert again.headers["x-content-type-options"] == "nosniff"
        assert len(client.get("/v1/batches?limit=51").json()["rows"]) == 1


def test_without_an_engine_a_question_is_put_off(tmp_path: Path) -> None:
    away, port = free_ports(2)
    settings = load(data_dir=tmp_path, store_port=port, clickhouse_dsn=f"clickhouse://127.0.0.1:{away}")
    with serving(Pool(settings), settings):
        answer = httpx.get(f"{settings.store_url}/v1/top-artists", trust_env=False, timeout=30)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "ClickHouse does not answer just now" in answer.json()["detail"]


def test_the_store_serves_by_the_quick_parser_and_loop() -> None:
    config = config_of(FastAPI())
    config.load()
    assert config.http_protocol_class is HttpToolsProtocol
    factory = config.get_loop_factory()
    assert factory
    loop = factory()
    assert isinstance(loop, uvloop.Loop)
    loop.close()
