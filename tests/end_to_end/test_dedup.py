"""Every kind of copy at once, in a run that drops near-duplicates: exact, and the inspector tells what the ledger tells."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pytest

from pipeline.admin import ensure_topics
from pipeline.errors import Exit
from pipeline.inspector.summary import Summary, summarise
from pipeline.outcomes import Outcome
from pipeline.settings import Settings, load
from pipeline.store.ask import rows
from pipeline.store.story import story
from pipeline.verify.decode import Decoder
from pipeline.verify.readlog import end_offsets, read
from pipeline.verify.recompute import Recomputed, recompute
from pipeline.verify.verdict import KindTruth, Verdict
from pipeline.verify.verify import verify
from producers.ledger import read_ledger
from producers.produce import produce
from producers.scenarios.load import parse_scenario
from tests.conftest import new_run, settings_env
from tests.end_to_end.processes import processes
from tests.end_to_end.source_logs import log_of

SCENARIO = """
minutes: 200
events: 30000
artists: 300
users: 3000
seed: 3
lateness: {late: 0.01, offline: 0.05, over_1_h: 0.03}
habits: {on_repeat: 0.02, shared_accounts: 0.03}
duplicates:
  producer_retry: 0.03
  client_double_send: 0.05
  cross_service: 0.06
  upstream_replay:
    - {from_minute: 10, to_minute: 20, at_minute: 60, over_minutes: 2, share: 0.5}
    - {from_minute: 10, to_minute: 20, at_minute: 180, over_minutes: 2, share: 0.5}
poison: {share: 0.01}
"""
SAME_ID = ("client_double_send", "producer_retry", "upstream_replay")


@dataclass(frozen=True)
class Played:
    """A run in which the scenario was played; its store is up."""

    settings: Settings
    verdict: Verdict
    summary: Summary
    recomputed: Recomputed


@pytest.fixture(scope="module")
def played(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    from deploy.embedded.ports import free_ports

    settings = load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path_factory.mktemp("dedup"),
        store_port=free_ports(1)[0],
        session_seconds=6,
        near_duplicates="drop",
        dlq_ceiling_consecutive=10_000,
    )
    ensure_topics(settings)
    assert not any(log_of(settings))  # every partition's leader answers from here on, so nothing is sent again for that
    produced = produce(settings, parse_scenario(SCENARIO, Path("all-kinds.yaml")))
    assert produced.acknowledged == 30_000
    with processes(settings) as run:
        for name in ("store", "rank", "classify"):
            run.start(name)
        verdict = verify(settings, timeout=120, show_progress=False)
        ends = end_offsets(settings)
        recomputed = recompute(
            read(settings, ends),
            ends=ends,
            rules=settings.rules,
            window_ms=settings.window_seconds * 1000,
            top_k=settings.top_k,
            shards=settings.shards,
            decoder=Decoder(),
        )
        yield Played(settings, verdict, summarise(settings), recomputed)


def kinds_of(summary: Summary) -> dict[str, KindTruth]:
    assert summary.truth is not None
    return {kind.kind: kind for kind in summary.truth.kinds}


def test_a_run_with_every_kind_of_copy_is_exact(played: Played) -> None:
    assert played.verdict.exact, json.dumps(played.verdict.as_json(), indent=1, default=str)[:4000]
    assert played.verdict.outcomes["suspect"] > 500
    assert played.verdict.outcomes["invalid"] == 300


def test_the_inspector_tells_of_each_kind_what_the_ledger_and_the_log_tell(played: Played) -> None:
    assert played.verdict.truth is not None
    assert kinds_of(played.summary) == {kind.kind: kind for kind in played.verdict.truth.kinds}


def test_copies_are_caught_if_their_first_sighting_was_remembered_and_the_rest_are_beyond(played: Played) -> None:
    """By the ledger and the watermark at each record alone: remembered is what isn't older than the horizon's slot."""
    rules, seen, within, beyond = played.settings.rules, set[bytes](), Counter[str](), Counter[str]()
    ledger = read_ledger(played.settings)
    ledger = ledger.filter(pc.field("kind") != "poison").sort_by([("partition", "ascending"), ("offset", "ascending")])
    kind_of: dict[bytes, str] = {}
    for row in ledger.select(["event_id", "kind", "partition", "offset", "played_at"]).to_pylist():
        watermark = played.recomputed.folds[row["partition"]].watermarks[row["offset"]]
        event_id, kind = row["event_id"], row["kind"]
        if event_id not in seen:
            seen.add(event_id)
            kind_of[event_id] = kind  # a copy that overtook its play trades kinds with it
            continue
        kind = kind if kind in SAME_ID else kind_of[event_id]
        remembered = row["played_at"] // rules.slot_ms >= (watermark - rules.horizon_ms) // rules.slot_ms
        (within if remembered and row["played_at"] >= watermark - rules.horizon_ms else beyond)[kind] += 1
    told = kinds_of(played.summary)
    assert {kind: told[kind].caught for kind in SAME_ID} == {kind: within[kind] for kind in SAME_ID}
    assert {kind: told[kind].late for kind in SAME_ID} == {kind: beyond[kind] for kind in SAME_ID}
    assert beyond["upstream_replay"] > 300
    assert within["upstream_replay"] > 300
    assert all(told[kind].missed == 0 for kind in SAME_ID)


def test_no_play_is_taken_for_a_copy_by_its_id_and_the_near_rule_s_shares_are_told(played: Played) -> None:
    truth = played.summary.truth
    assert truth is not None
    assert truth.precision == 1.0
    theirs = kinds_of(played.summary)["cross_service"]
    assert theirs.caught + theirs.missed + theirs.skipped + theirs.late + theirs.invalid == theirs.in_log
    assert theirs.recall is not None
    assert theirs.recall > 0.9
    assert truth.near_precision is not None


def test_how_far_apart_copies_were_adds_up_to_the_copies(played: Played) -> None:
    told = kinds_of(played.summary)
    for kind in SAME_ID:
        assert sum(played.summary.distances[kind].values()) == told[kind].caught + told[kind].late
    apart = played.summary.distances["upstream_replay"]
    assert apart["1 h"] > 300, "the first replay comes 40 to 50 minutes after"
    assert apart["6 h"] > 300, "the second one 160 to 170"


def test_no_request_was_sent_again_to_a_broker_that_answered(played: Played) -> None:
    assert played.summary.requests_retried == 0


def test_an_event_s_story_has_its_copies_and_other_services_reports(played: Played) -> None:
    suspect = rows(
        played.settings,
        """
        SELECT toString(event_id) AS id, source_partition AS partition, source_offset AS offset, suspect_of AS first
        FROM plays FINAL WHERE outcome = 'suspect' ORDER BY source_partition, source_offset LIMIT 1
        """,
    )[0]
    told = story(played.settings, suspect["id"])
    mine = next(copy for copy in told if (copy.partition, copy.offset) == (suspect["partition"], suspect["offset"]))
    assert (mine.outcome, mine.first_offset) == ("suspect", suspect["first"])
    original = next(copy for copy in told if copy.offset == suspect["first"])
    assert original.outcome == "accepted"
    assert original.service != mine.service
    assert {copy.offset for copy in story(played.settings, original.event_id)} == {copy.offset for copy in told}


def dedup(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", "dedup", *arguments]
    return subprocess.run(command, env=settings_env(settings), capture_output=True, text=True, timeout=120, check=False)


def test_the_command_prints_what_the_json_holds(played: Played) -> None:
    shown, told = dedup(played.settings), dedup(played.settings, "summary", "--json")
    assert (shown.returncode, told.returncode) == (0, 0), shown.stderr + told.stderr
    document = json.loads(told.stdout)
    for kind in document["truth"]["kinds"]:
        assert kind["kind"] in shown.stdout
    assert document["near_duplicates"] == played.verdict.outcomes["suspect"]
    assert {entry["table"]: entry["distinct"] for entry in document["upserts"]}["duplicates"] == document["duplicates"]


def test_a_sweep_holds_the_run_s_own_settings_at_what_the_run_found(played: Played) -> None:
    swept = dedup(played.settings, "sweep", "--tolerance", "5,30", "--horizon", "1800,7200", "--json")
    assert swept.returncode == 0, swept.stderr
    document = json.loads(swept.stdout)
    mine = {one["seconds"]: one for one in document["tolerances"]}
    assert list(mine) == [5, 30, 60]
    assert mine[60]["suspects"] == played.verdict.outcomes["suspect"]
    assert mine[5]["recall"] < mine[30]["recall"] < mine[60]["recall"]
    horizons = {one["seconds"]: one for one in document["horizons"]}
    assert horizons[7200]["duplicates"] == played.verdict.outcomes["duplicate"]
    assert horizons[1800]["leaked"] > horizons[7200]["leaked"] > 0
    assert horizons[1800]["remembered"] < horizons[7200]["remembered"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("sweep", "--tolerance", "a"), "whole seconds"),
        (("sweep", "--tolerance", "0"), "at least 1"),
        (("sweep", "--tolerance", "7200"), "LISTENING_NEAR_TOLERANCE_SECONDS (7200) must be at least 1 and at most"),
        (("sweep", "--horizon", "60"), "LISTENING_HORIZON_SECONDS (60) must be at least"),
        (("event", "no-id"), "is no event id"),
    ],
)
def test_a_mistake_is_a_sentence(played: Played, arguments: tuple[str, ...], part: str) -> None:
    answer = dedup(played.settings, *arguments)
    assert answer.returncode in (Exit.CHECK_FAILED, Exit.USAGE, Exit.STAY_DOWN)
    assert part in answer.stderr.replace("│", " ")
    assert "Traceback" not in answer.stderr


def test_outcomes_in_the_store_are_those_of_the_recomputation(played: Played) -> None:
    suspects = sum(fold.kinds.count(Outcome.SUSPECT) for fold in played.recomputed.folds)
    (row,) = rows(played.settings, "SELECT count() AS number FROM plays FINAL WHERE outcome = 'suspect'")
    assert row["number"] == suspects
