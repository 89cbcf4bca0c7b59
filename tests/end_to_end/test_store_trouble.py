"""The store over a ClickHouse server in trouble: a real broker, the front as the server, its faults switched on and off.

The oracle is what an undisturbed store of the same topics holds, in the embedded engine.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline.admin import ensure_topics
from pipeline.drills.front_process import Front, front
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.store import ask
from pipeline.topics import topics_of
from tests.end_to_end.test_store import (
    SECONDS,
    committed,
    contents,
    feed,
    is_ready,
    said,
    send,
    store,
    until_sunk,
    varied,
    wait_until,
)
from tests.unit.store.made import T0, artist, counts, play, plays, top

AT_WORK = "SELECT 1 FROM system.processes WHERE query LIKE '%numbers(100000) AS c%'"
MORE = 40
"""Records that follow the first feed in each partition of `plays`."""


@pytest.fixture
def run(settings: Settings) -> Settings:
    run = varied(settings, partitions=2)
    ensure_topics(run)
    return run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Front]:
    with front(tmp_path / "server") as server:
        yield server


def over(run: Settings, server: Front) -> Settings:
    """The same run, stored in the server."""
    return varied(run, clickhouse_dsn=server.dsn)


def feed_more(run: Settings, records: range) -> None:
    """`plays` of both partitions goes on, a record an offset; counts of later panes, later lists and names."""
    topics, rules = topics_of(run), run.rules.fingerprint
    for partition in range(run.partitions):
        made = [plays(4 + n, [play(7 + n, artist_id=n % 5 + 1)], rules, first=7 + n) for n in records]
        send(run, topics.plays.name, partition, made)
        panes = [(T0 + n * 10_000, n % 5 + 1, n) for n in records]
        send(run, topics.counts.name, 0, [counts(partition, panes, counted=7 + records[-1], watermark=T0, rules=rules)])
    lists = [top(T0 + 20_000 + n * 10_000, 0, [(1, n + 2), (2, n + 1)], final=True, counted=20 + n) for n in records]
    send(run, topics.tops.name, 0, lists)
    send(run, topics.artists.name, 0, [([], artist(100 + n, f"artist {n}")) for n in records])


def until_stored(run: Settings, process: "subprocess.Popen[str]") -> dict[str, pa.Table]:
    """Wait until the store is ready and has committed all that the broker has; the tables."""
    topics = topics_of(run)
    consumer = Consumer({"bootstrap.servers": run.bootstrap, "group.id": "ends"})
    of = {"plays": topics.plays, "artist-counts": topics.counts, "top-artists": topics.tops, "artists": topics.artists}
    ends = {
        kind: {
            str(p): consumer.get_watermark_offsets(TopicPartition(topic.name, p), timeout=SECONDS)[1]
            for p in range(topic.partitions)
        }
        for kind, topic in of.items()
    }
    consumer.close()
    wait_until(lambda: is_ready(run), process)
    wait_until(lambda: {kind: topic["next"] for kind, topic in ask.ready(run)["topics"].items()} == ends, process)
    return contents(run)


def undisturbed(run: Settings, tmp_path: Path) -> dict[str, pa.Table]:
    """What a store holds that nothing happens to: the embedded engine's, in a folder and a group of its own.

    It commits where the disturbed one does; so it comes last, with a folder that is empty: it sinks everything again.
    """
    calm = varied(run, data_dir=tmp_path / "calm", clickhouse_dsn=None)
    with store(calm) as process:
        return until_stored(calm, process)


def trouble(run: Settings) -> list[str]:
    """What the store gives as its reasons for not being ready."""
    try:
        reasons: list[str] = ask.ready(run)["reasons"]
    except UnavailableError:
        return []
    return reasons


def end(process: "subprocess.Popen[str]") -> str:
    """SIGTERM; what it said until its end, which waits for no server."""
    process.terminate()
    assert process.wait(SECONDS) == 0
    return said(process)


def told_of(lines: list[str]) -> list[list[str]]:
    """The reasons given, by trouble: from the first who waits until all go on. Each is said once, however many wait."""
    troubles: list[list[str]] = [[]]
    for line in lines:
        if "the store goes on" in line:
            troubles.append([])
        elif "has to wait" in line:
            _, found, reason = line.partition("reason=")
            assert found, line
            assert reason not in troubles[-1], "said more than once"
            troubles[-1].append(reason)
    return troubles


FAULTS: list[dict[str, Any]] = [
    {"away": True},
    {"slow_seconds": 0.3},
    {"lose": 5},
    {"errors": 6, "code": 252},
    {"errors": 6, "code": 243, "says": "Cannot reserve 1.00 MiB, not enough space"},
    {"errors": 6, "code": 75, "says": "Cannot write to file data.bin: , errno: 28, strerror: No space left on device"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join([*fault, str(fault.get("code", ""))]).strip("-"))
def test_after_a_trouble_the_tables_equal_those_of_an_undisturbed_store(
    run: Settings, server: Front, tmp_path: Path, fault: dict[str, Any]
) -> None:
    stored = over(run, server)
    feed(run)
    with store(stored) as process:
        until_sunk(stored, process)
        before = committed(run, topics_of(run).plays.name)
        server.faults(**fault)
        feed_more(run, range(MORE))
        if "away" in fault:
            wait_until(lambda: any("refused" in reason for reason in trouble(stored)), process)
            time.sleep(2)  # some attempts
            assert committed(run, topics_of(run).plays.name) == before, "committed what isn't stored"
            feed_more(run, range(MORE, 2 * MORE))
            server.faults(away=False)
        disturbed = until_stored(stored, process)
        told = server.faults()
        assert told["errors"] == told["lose"] == 0, "the faults did not come to pass"
        lines = end(process).splitlines()
    troubles = told_of(lines)
    if "says" in fault:
        assert all("the disk under ClickHouse is full" in line for line in troubles[0])
    if "slow_seconds" not in fault:
        assert sum("the store goes on" in line for line in lines) >= 1
    assert disturbed == undisturbed(run, tmp_path)
    rows = MORE * (2 if "away" in fault else 1)
    assert disturbed["plays"].num_rows == 8 + 2 * rows


def test_a_hung_server_is_given_up_and_what_it_applies_late_changes_nothing(
    run: Settings, server: Front, tmp_path: Path
) -> None:
    """It hangs with inserts in hand; the store gives them up and offers them again; then it applies all of them."""
    stored = over(run, server)
    impatient = (
        "from pipeline.store import client\n"
        "client.open_client.__defaults__ = (*client.open_client.__defaults__[:2], 2)\n"
        "from pipeline.store.serve import main\nraise SystemExit(main())"
    )
    feed(run)
    with store(stored, impatient) as process:
        until_sunk(stored, process)
        server.faults(hang=True)
        feed_more(run, range(MORE))
        wait_until(lambda: any("no answer in time" in reason for reason in trouble(stored)), process)
        with pytest.raises(UnavailableError, match="does not answer just now"):  # while it hangs: nothing else ends that
            ask.sql(stored, "SELECT 1")
        wait_until(lambda: server.faults()["counted"]["hung"] >= 8, process)
        server.faults(hang=False)
        disturbed = until_stored(stored, process)
        assert server.faults()["counted"]["inserts"] > 0
        end(process)
    assert disturbed == undisturbed(run, tmp_path)


def test_a_server_that_is_killed_and_started_again_has_everything(run: Settings, server: Front, tmp_path: Path) -> None:
    stored = over(run, server)
    feed(run)
    with store(stored) as process:
        until_sunk(stored, process)
        server.faults(slow_seconds=0.5)
        feed_more(run, range(MORE))
        server.end(signal.SIGKILL)
        wait_until(lambda: bool(trouble(stored)), process)
        server.start()
        disturbed = until_stored(stored, process)
        end(process)
    assert disturbed == undisturbed(run, tmp_path)


def test_a_server_that_is_away_at_start_is_waited_for_and_named(run: Settings, tmp_path: Path) -> None:
    feed(run)
    with front(tmp_path / "server", started=False) as server:
        stored = over(run, server)
        with store(stored) as process:
            wait_until(lambda: any("refused" in reason for reason in trouble(stored)), process)
            assert httpx.get(f"{stored.store_url}/ready", trust_env=False).status_code == 503
            with pytest.raises(UnavailableError, match="does not answer just now"):
                ask.sql(stored, "SELECT 1")
            time.sleep(3)  # some attempts
            server.start()
            late = until_stored(stored, process)
            lines = end(process).splitlines()
    assert any(told_of(lines))
    assert late == undisturbed(run, tmp_path)


def test_a_store_that_waits_for_its_server_ends_at_once_when_asked(run: Settings, tmp_path: Path) -> None:
    with front(tmp_path / "server", started=False) as server:
        stored = over(run, server)
        with store(stored) as process:
            wait_until(lambda: bool(trouble(stored)), process)
            end(process)


@pytest.mark.parametrize(
    ("code", "everything", "exit_code", "sentence"),
    [
        (53, False, 70, "ClickHouse refuses rows for"),
        (516, True, 78, "LISTENING_CLICKHOUSE_DSN"),
    ],
)
def test_an_error_that_never_passes_ends_the_process(
    run: Settings, server: Front, code: int, everything: bool, exit_code: int, sentence: str
) -> None:
    feed(run)
    stored = over(run, server)
    server.faults(errors=1, code=code, everything=everything)
    with store(stored) as process:
        assert process.wait(SECONDS) == exit_code
        lines = said(process)
    assert sentence in lines
    assert "Traceback" not in lines


def test_a_guest_s_query_that_the_server_breaks_off_is_unavailable_not_bad(run: Settings, server: Front) -> None:
    stored = over(run, server)
    with store(stored) as process:
        until_sunk(stored, process)
        assert ask.sql(stored, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
        response = httpx.post(f"{stored.store_url}/sql", content="SELECT nothing", trust_env=False)
        assert response.status_code == 400
        answers: list[httpx.Response] = []

        def query() -> None:
            sql = "SELECT count() FROM numbers(100000) AS a, numbers(100000) AS b, numbers(100000) AS c"
            answers.append(httpx.post(f"{stored.store_url}/sql", content=sql, timeout=SECONDS, trust_env=False))

        asking = threading.Thread(target=query)
        asking.start()
        with closing(clickhouse_connect.get_client(dsn=server.dsn)) as onlooker:
            wait_until(lambda: len(onlooker.query(AT_WORK).result_rows) > 1, process)  # it sees itself, too
        assert not answers, "the query ended too early to show anything"
        server.end(signal.SIGKILL)
        asking.join(SECONDS)
        assert answers[0].status_code == 503
        assert "ClickHouse does not answer" in answers[0].json()["detail"]
