"""What a store says that holds nothing, keeps its answers, or has no engine."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deploy.embedded.ports import free_ports
from pipeline.api.questions import QUESTIONS, Caches, question_routes
from pipeline.api.shortcut import Shortcut
from pipeline.settings import Settings, load
from pipeline.store.client import Pool
from pipeline.store.local import Local
from pipeline.store.readers import PlaysReader
from pipeline.store.records import Record
from pipeline.store.serve import config_of
from pipeline.store.writer import ClickHouseWriter
from tests.unit.api.log import stored
from tests.unit.store.conftest import serving
from tests.unit.store.made import event_id, play, plays

SECONDS = 60


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


def test_questions_of_raw_rows_keep_none_of_panes_waiting(tmp_path: Path) -> None:
    with stored(tmp_path, None) as (settings, pool):
        local, gate, held = Local(pool), threading.Event(), threading.Event()

        def asked(settings: Settings, query: str, parameters: Mapping[str, str | int] | None = None) -> list[dict[str, Any]]:
            if "FROM duplicates" in query:
                held.set()
                assert gate.wait(SECONDS)
            return local(settings, query, parameters)

        app = FastAPI()
        app.include_router(question_routes(settings, asked, Caches(1)))

        async def test() -> None:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
                slow = [asyncio.create_task(client.get(f"/v1/duplicates?limit={limit}")) for limit in range(1, 20)]
                while not held.is_set():
                    await asyncio.sleep(0.001)
                assert (await client.get("/v1/top-artists")).status_code == 200
                assert not any(task.done() for task in slow)
                gate.set()
                assert {answer.status_code for answer in await asyncio.gather(*slow)} == {200}

        asyncio.run(asyncio.wait_for(test(), SECONDS))


def test_the_shortcut_says_which_route_it_took(tmp_path: Path) -> None:
    """Whoever counts requests by route sees it, whether the router was asked or not."""
    with stored(tmp_path, None, api_cache_seconds=60) as (settings, pool):
        app, caches, seen = FastAPI(), Caches(60), list[str]()
        app.include_router(question_routes(settings, Local(pool), caches))
        app.add_middleware(Shortcut, caches=(caches.quick, caches.slow), questions=QUESTIONS)

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            seen.append(scope["route"].path)

        async def test() -> None:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(counted), base_url="http://127.0.0.1") as client:
                for path in ("top-artists", "timeline", "duplicates", "batches"):
                    for _ in range(2):
                        assert (await client.get(f"/v1/{path}")).status_code == 200
                for path in (f"plays/{event_id(1)}", "artists/5/timeline"):
                    for headers in ({}, {"accept": "text/html"}):
                        assert (await client.get(f"/v1/{path}", headers=headers)).status_code in (404, 406)

        asyncio.run(asyncio.wait_for(test(), SECONDS))
        assert [*dict.fromkeys(seen)] == [
            "/v1/top-artists",
            "/v1/timeline",
            "/v1/duplicates",
            "/v1/batches",
            "/v1/plays/{event_id}",
            "/v1/artists/{artist_id}/timeline",
        ]
        assert len(seen) == 12


def test_the_store_serves_by_the_quick_parser_and_loop() -> None:
    config = config_of(FastAPI())
    config.load()
    assert config.http_protocol_class is HttpToolsProtocol
    factory = config.get_loop_factory()
    assert factory
    loop = factory()
    assert isinstance(loop, uvloop.Loop)
    loop.close()
