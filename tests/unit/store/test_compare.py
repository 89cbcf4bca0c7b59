"""One question three ways: they agree where the tables do, and the first difference is named where they don't."""

from collections import Counter

import httpx
import pytest

from pipeline.settings import Settings, load
from pipeline.store.client import Pool
from pipeline.store.compare import Comparison, NothingFinalError, compare, difference
from pipeline.store.local import Local
from pipeline.store.readers import CountsReader, PlaysReader, TopsReader
from tests.unit.store.conftest import Put, serving
from tests.unit.store.made import T0, counts, play, plays, top


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"plays": [], "panes": []}, ""),
        ({"plays": [(1, 5), (2, 3)], "panes": [(1, 5), (2, 3)], "published": [(1, 5), (2, 3)]}, ""),
        (
            {"plays": [(1, 5), (2, 3)], "panes": [(1, 5), (2, 4)]},
            "rank 2: artist 2 with 3 plays by plays, artist 2 with 4 plays by panes",
        ),
        (
            {"plays": [(1, 5)], "panes": [(1, 5)], "published": []},
            "rank 1: artist 1 with 5 plays by plays, nobody by published",
        ),
        ({"plays": [], "panes": [(9, 1_000)]}, "rank 1: nobody by plays, artist 9 with 1,000 plays by panes"),
    ],
)
def test_the_first_place_that_differs_is_named(answers: dict[str, list[tuple[int, int]]], sentence: str) -> None:
    assert difference(answers) == sentence


@pytest.fixture
def short(settings: Settings) -> Settings:
    """Windows of 30 s in panes of 10 s, of one partition."""
    return load(**(settings.model_dump() | {"partitions": 1, "window_seconds": 30, "top_k": 3}))


@pytest.fixture
def listed(put: Put, short: Settings) -> list[tuple[int, int]]:
    """Two minutes of plays, their panes, and the list of the window that ends 40 s after T0: the list, by hand."""
    rules = short.rules.fingerprint
    rows = [
        play(n, "late" if n % 11 == 0 else "accepted", event_time=T0 + n * 500, artist_id=n * n % 5 + 1) for n in range(240)
    ]
    put(PlaysReader(rules), 0, [plays(0, rows, rules)])
    accepted = [row for row in rows if row["outcome"] == "accepted"]
    panes = Counter((row["event_time"] // 10_000 * 10_000, row["artist_id"]) for row in accepted)
    told = [(pane, artist, number) for (pane, artist), number in panes.items()]
    put(CountsReader(rules), 0, [counts(0, told, counted=239, watermark=rows[-1]["event_time"], rules=rules)])
    of_window = Counter(row["artist_id"] for row in accepted if T0 + 10_000 <= row["event_time"] < T0 + 40_000)
    ranked = sorted(of_window.items(), key=lambda place: (-place[1], place[0]))[:3]
    put(TopsReader(), 0, [top(T0 + 40_000, 0, ranked, final=True, counted=239, k=3)])
    return ranked


def compared(settings: Settings, pool: Pool, window: int = 30, before: int | None = None) -> Comparison:
    return compare(settings, pool, Local(pool), window, before, repeated=2)


def test_raw_plays_panes_and_published_lists_agree_and_say_what_they_read(
    listed: list[tuple[int, int]], short: Settings, pool: Pool
) -> None:
    found = compared(short, pool)
    assert (found.start_ms, found.end_ms, found.k, found.difference) == (T0 + 10_000, T0 + 40_000, 3, "")
    ways = {way.name: way for way in found.ways}
    assert list(ways) == ["plays", "panes", "published"]
    assert all(way.ranked == listed for way in found.ways)
    # All plays are read, since their order is that of the log, and the whole of the two small tables.
    assert ways["plays"].rows_read == ways["plays"].rows_stored == 240
    assert 0 < ways["published"].rows_read <= ways["panes"].rows_read < 240
    assert all(way.bytes_on_disk > 0 and way.milliseconds > 0 and way.bytes_read > 0 for way in found.ways)


def test_what_is_counted_before_its_plays_are_stored_is_not_compared_yet(put: Put, short: Settings, pool: Pool) -> None:
    """The tables have a sink each: of one of these plays the panes and the list are stored already, the play is not."""
    rules, late = short.rules.fingerprint, T0 + 200_000
    put(CountsReader(rules), 0, [counts(0, [(T0, 1, 1)], counted=1, watermark=late, rules=rules)])
    put(TopsReader(), 0, [top(T0 + 10_000, 0, [(1, 1)], final=True, counted=1, k=3)])
    with pytest.raises(NothingFinalError):
        compared(short, pool)
    put(PlaysReader(rules), 0, [plays(0, [play(0, event_time=T0, artist_id=1)], rules, watermark=late)])
    assert (compared(short, pool).end_ms, compared(short, pool).difference) == (T0 + 10_000, "")


@pytest.mark.usefixtures("listed")
def test_a_list_that_is_wrong_is_found_out(put: Put, short: Settings, pool: Pool) -> None:
    wrong = load(**(short.model_dump() | {"top_k": 1}))
    put(TopsReader(), 0, [top(T0 + 50_000, 0, [(1, 999)], final=True, counted=239, k=1)])
    found = compared(wrong, pool)
    assert "artist 1 with 999 plays by published" in found.difference
    assert compared(wrong, pool, before=T0 + 49_999).end_ms == T0 + 40_000


@pytest.mark.usefixtures("listed")
def test_another_length_has_no_published_list(short: Settings, pool: Pool) -> None:
    found = compared(short, pool, window=25)
    assert ([way.name for way in found.ways], found.difference) == (["plays", "panes"], "")
    assert (found.start_ms, found.end_ms) == (T0 + 20_000, T0 + 40_000)
    assert found.note.startswith("the length 25 s was rounded to 20 s, whole panes; published lists are of windows of 30 s")


@pytest.mark.usefixtures("listed")
def test_over_http_it_is_a_document_or_a_refusal(short: Settings, pool: Pool) -> None:
    with pytest.raises(NothingFinalError):
        compared(short, pool, before=T0)
    with serving(pool, short), httpx.Client(base_url=short.store_url, timeout=30, trust_env=False) as client:
        found = client.get("/v1/storage", params={"at": "2027-01-15T08:00:59"}).json()
        refusals = {
            query: client.get(f"/v1/storage?{query}")
            for query in ("at=2020-01-01T00:00:00Z", "window=0", "at=x", "at=0001-01-01T00:00:00%2B14:00")
        }
    assert (found["run"], found["agree"], found["end"]) == (short.run, True, "2027-01-15T08:00:40.000Z")
    assert [answer.status_code for answer in refusals.values()] == [404, 400, 400, 404]
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in refusals.values())
