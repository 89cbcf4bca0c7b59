"""What the doctor says of a run's rules, lag, watermarks and dead letters, from facts."""

from dataclasses import replace

import pytest

from pipeline.codec.headers import PlaysHeaders, TopHeaders
from pipeline.doctor import lag, letters, rules, watermarks
from pipeline.doctor.facts import Newest
from pipeline.doctor.findings import Finding, Level
from pipeline.doctor.lag import LagFacts, Position
from pipeline.doctor.letters import LetterFacts
from pipeline.doctor.rules import RulesFacts
from pipeline.doctor.watermarks import WatermarkFacts, age
from pipeline.settings import load

SETTINGS = load(run="t", data_dir="/data")
NOON = 1_800_014_400_000  # 2027-01-15 12:00:00 UTC
MINUTE = 60_000


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def headers(**changes: object) -> PlaysHeaders:
    """Source offsets 0 to 9, decided under the run's rules."""
    base = PlaysHeaders(0, 0, 9, (10, 0, 0, 0, 0, 0), 0, 0, NOON, SETTINGS.rules.fingerprint, "topic-1")
    return replace(base, **changes)  # type: ignore[arg-type]


def facts(**changes: object) -> RulesFacts:
    newest = Newest({0: headers(), 1: headers()})
    return replace(RulesFacts(newest, "topic-1", {0: 10, 1: 12}), **changes)  # type: ignore[arg-type]


def test_outcomes_under_these_rules_of_this_topic_are_ok() -> None:
    assert levels(rules.judge(facts(), SETTINGS)) == ["ok"]


def test_an_empty_run_fits_any_rules() -> None:
    assert levels(rules.judge(facts(newest=Newest({})), SETTINGS)) == ["note"]


def test_other_rules_name_both_values_the_partitions_and_the_variable() -> None:
    theirs = headers(rules=load(grace_seconds=90, min_play_seconds=20).rules.fingerprint)
    grace, shortest = rules.judge(facts(newest=Newest({0: headers(), 1: theirs})), SETTINGS)
    assert (grace.level, shortest.level) == ("problem", "problem")
    assert grace.found.startswith("grace_ms: 90000 in the log, 60000 here (partition 1)")
    assert grace.remedy.startswith("set LISTENING_GRACE_SECONDS back")
    assert shortest.remedy.startswith("set LISTENING_MIN_PLAY_SECONDS back")


def test_every_rule_that_follows_from_a_variable_names_one_that_exists() -> None:
    known = {f"LISTENING_{name.upper()}" for name in type(SETTINGS).model_fields}
    names = [entry.partition("=")[0] for entry in SETTINGS.rules.fingerprint.split(";")]
    variables = {rules._variable(name) for name in names}
    assert {variable for variable in variables if variable.startswith("LISTENING_")} <= known
    assert len(variables) == len(names) - 1  # near_duplicates and version follow from the code


def test_a_source_that_was_made_anew_cut_or_deleted_is_a_problem() -> None:
    (anew,) = rules.judge(facts(source="topic-2"), SETTINGS)
    assert "made anew: its id is topic-2, outcomes are of topic-1 (partitions 0, 1)" in anew.found
    (cut,) = rules.judge(facts(ends={0: 10, 1: 9}), SETTINGS)
    assert "t.playback-events partition 1 ends at 9, outcomes reach to 10" in cut.found
    (gone,) = rules.judge(facts(source="", ends={}), SETTINGS)
    assert "is gone" in gone.found
    assert levels([anew, cut, gone]) == ["problem"] * 3


def test_final_lists_of_another_window_are_a_problem() -> None:
    final = TopHeaders(NOON, 600_000, 0, 100, True, 1, NOON + 60_000)
    (finding,) = rules.judge(facts(finals=(final,)), SETTINGS)
    assert "100 artists over 600 s, the settings say 100 over 3600 s" in finding.found
    assert levels(rules.judge(facts(finals=(replace(final, window_ms=3_600_000),)), SETTINGS)) == ["ok"]


def test_an_end_of_plays_without_a_valid_record_is_said() -> None:
    (warning,) = rules.judge(facts(newest=Newest({0: headers()}, (1,), 256)), SETTINGS)
    assert warning.level == "warning"
    assert "not checked for t.plays partition 1: none of the last 256 records" in warning.found


def position(stage: str, next_offset: int | None, *, topic: str = "t.plays", partition: int = 0, low: int = 0) -> Position:
    """In a log that ends at 100."""
    return Position(stage, topic, partition, low, 100, next_offset)


def judged(*positions: Position, at_work: tuple[str, ...] = (), up: bool = False) -> list[Finding]:
    return lag.judge(LagFacts(positions, frozenset(at_work)), SETTINGS, up=up)


def test_nothing_behind_is_ok_and_a_stage_at_work_is_a_note_with_its_partitions() -> None:
    assert levels(judged(position("count", 100))) == ["ok"]
    note, ok = judged(position("count", 40), position("count", 99, partition=1), position("sink", 100), at_work=("count",))
    assert (note.level, ok.level) == ("note", "ok")
    assert note.found == "count is 61 records behind: t.plays partition 0: 60, 1: 1"


def test_lag_without_anybody_is_a_warning_while_all_is_down_and_a_problem_while_others_work() -> None:
    behind = position("classify", 40, topic="t.playback-events")
    warning, _ = judged(behind)
    assert warning.level == "warning"
    assert "`listening up --run t`" in warning.remedy
    for problem, _ in (judged(behind, at_work=("count",)), judged(behind, up=True)):
        assert problem.level == "problem"
        assert "60 records wait for classify and nobody works on them: t.playback-events partition 0: 60" in problem.found
        assert "/data/runs/t/logs/classify.log" in problem.remedy


@pytest.mark.parametrize(
    ("stage", "next_offset", "group", "lost"),
    [("sink", 12, "t.sink", "12 to 39"), ("count", 39, "t.rank", "39 to 39"), ("classify", None, "t.classify", "0 to 39")],
)
def test_a_log_that_begins_above_a_position_names_group_partition_and_offsets(
    stage: str, next_offset: int | None, group: str, lost: str
) -> None:
    findings = judged(position(stage, next_offset, partition=2, low=40), at_work=(stage,))
    (problem,) = (finding for finding in findings if finding.level == "problem")
    assert problem.found.startswith("t.plays partition 2 begins at 40")
    assert f"(group {group})" in problem.found
    assert f"offsets {lost} are lost" in problem.found
    assert "retention.ms" in problem.remedy


def test_a_log_that_begins_at_the_position_lost_nothing() -> None:
    assert levels(judged(position("sink", 40, low=40), at_work=("sink",))) == ["note", "ok"]
    assert "sink is 60 records behind" in judged(position("sink", 40, low=40), at_work=("sink",))[0].found


def test_a_log_that_ends_below_a_position_was_cut() -> None:
    problem = judged(position("sink", 101))[0]
    assert problem.level == "problem"
    assert "ends at 100, sink (group t.sink) goes on at 101" in problem.found


def test_many_partitions_are_named_up_to_a_limit() -> None:
    found = judged(*(position("count", number, partition=number) for number in range(20)), at_work=("count",))[0].found
    assert "and 12 more" in found


def watched(marks: dict[int, int], waiting: dict[int, int] | None = None, now: int = NOON + MINUTE) -> list[Finding]:
    return watermarks.judge(WatermarkFacts(marks, waiting or {}), SETTINGS.rules, "t", now)


def test_partitions_that_keep_step_are_ok_with_their_age() -> None:
    # Grace 60 s and two panes of 10 s are no silence yet.
    (finding,) = watched({0: NOON, 1: NOON - 80_000})
    assert finding.level == "ok"
    assert finding.found == (
        "2 of 2 partitions heard from, watermarks 1 min ago to 2 min 20 s ago, the newest 2027-01-15 12:00:00 UTC"
    )


def test_a_watermark_in_this_machines_future_is_said_to_be_ahead() -> None:
    assert "watermarks 5 s ahead of this machine's clock, the newest" in watched({0: NOON}, now=NOON - 5_000)[0].found


def test_a_partition_that_is_behind_holds_windows_back_and_ticks_are_the_remedy() -> None:
    warning, _ = watched({0: NOON, 1: NOON - 81_000, 2: NOON - 600_000})
    assert warning.level == "warning"
    assert warning.found.startswith("partitions 1, 2 behind the others, by up to 10 min")
    assert "no window that ends after 2027-01-15 11:50:00 UTC can be final" in warning.found
    assert "`listening tick --run t`" in warning.remedy


def test_a_partition_never_heard_from_is_named_and_a_silent_run_is_a_note() -> None:
    warning, _ = watched({0: NOON, 1: 0})
    assert "partition 1 not heard from, ever" in warning.found
    assert "no window at all can be final" in warning.found
    assert levels(watched({0: 0, 1: 0})) == ["note"]


def test_a_partition_that_classify_has_not_worked_off_is_not_silent() -> None:
    note, _ = watched({0: NOON, 1: NOON - 600_000}, {1: 5})
    assert note.level == "note"
    assert "classify has not worked off" in note.found


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 s"), (61_000, "1 min 1 s"), (3_600_000, "1 h"), (90_061_000, "1 d 1 h"), (999, "0 s")],
)
def test_ages_have_two_units(ms: int, text: str) -> None:
    assert age(ms) == text


def test_dead_letters_are_counted_with_the_reasons_of_the_newest() -> None:
    assert levels(letters.judge(LetterFacts(0, ()), "t")) == ["ok"]
    (warning,) = letters.judge(LetterFacts(1_200, (("misrouted", 60), ("wrong_key", 4))), "t")
    assert warning.level == "warning"
    assert warning.found == "1,200 records were refused; of the newest 64: misrouted 60, wrong_key 4"
    assert "`listening dlq list --run t`" in warning.remedy
