"""The guard around an app: whom it lets in, and what leaves it."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from pipeline.api.requests import Counted, Requests
from pipeline.http.guard import HEADERS, Guard

URL = "http://127.0.0.1:1"


def asked(path: str, **headers: str) -> tuple[httpx.Response, Requests]:
    app, requests = FastAPI(), Requests()
    app.add_middleware(Counted, requests=requests)
    app.add_middleware(Guard, host="127.0.0.1")

    @app.get("/well")
    async def well() -> str:
        return "well"

    @app.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError("a secret of ours")

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
            return await client.get(path, headers=headers)

    return asyncio.run(answer()), requests


def test_a_defect_is_a_problem_document_behind_the_same_fence_and_counted() -> None:
    answer, requests = asked("/defect")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert requests.counts == {("GET", "/defect", 500): 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": URL}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),  # a link to the page
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),  # an image that would start a question
        ({"host": "evil.example"}, 421),
    ],
)
def test_only_pages_of_its_own_may_ask(headers: dict[str, str], status: int) -> None:
    answer, _requests = asked("/well", **headers)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
