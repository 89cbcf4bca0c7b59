"""The drills' report, read back: page, JSON and terminal, of results with odd contents."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.drills.curves import charts, nice
from pipeline.drills.report import number, result_json, write_report
from pipeline.drills.shown import print_result, print_results
from pipeline.drills.told import Moment, Result, Sample, Verdict
from tests.unit.drills.made_up import ORACLES, SCRIPT, control, odd_results, realistic_results, result

EMPTY = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags that must balance, links, ids, and the text that is seen in and out of cells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.linked_from_rows: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)
        values = {name: value or "" for name, value in attrs}
        assert not any(name.startswith("on") for name in values)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[name] for name in ("href", "src", "srcset", "action", "data") if name in values]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        elif tag == "a" and "tr" in self.open:
            self.linked_from_rows.add(values["href"].removeprefix("#"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open = self.open if tag in EMPTY else self.open[:-1]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def written(results: Sequence[Result], folder: Path) -> tuple[dict[str, Any], Page]:
    as_json, as_html = write_report(results, folder / "made" / "here", seed=7, machine="2 cores")
    return json.loads(as_json.read_text()), Page(as_html)


def shown(results: Sequence[Result]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100)
    for each in results:
        print_result(each, console)
    print_results(results, console, Path("drills/report.html"))
    return out.getvalue()


@pytest.mark.parametrize("results", [realistic_results(), odd_results(), []], ids=["24 drills", "odd", "none"])
def test_a_page_is_whole_and_asks_nothing_of_the_network(results: list[Result], tmp_path: Path) -> None:
    _, page = written(results, tmp_path)
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith("#") and address[1:] in page.ids for address in page.addresses)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    source = (tmp_path / "made" / "here" / "report.html").read_text()
    assert "url(" not in source
    assert "@import" not in source
    assert set(re.findall(r"https?://\S+?(?=[\s,<\"])", source)) <= {"https://example.org"}  # a drill's text, not a link


def test_every_drill_has_a_row_that_links_to_its_section(tmp_path: Path) -> None:
    results = realistic_results()
    _, page = written(results, tmp_path)
    anchors = {f"{each.number}-{each.name}" for each in results}
    assert len(anchors) == 24
    assert anchors <= page.linked_from_rows & set(page.ids)


def test_a_row_says_in_words_what_each_oracle_says(tmp_path: Path) -> None:
    apart = Verdict("O5 replay", None, "there is no second run")
    own = Verdict("memory", False, "store had 1,900 MB of 1,500")
    base = result(4, "broker")
    told = (*(Verdict(oracle, True, "fine") for oracle in ORACLES[:4]), apart, own)
    _, page = written([replace(base, verdicts=told, peak_mb={"rank": 7, "store": 1900})], tmp_path)
    row = next(row for row in page.rows if row[0].startswith("4 broker"))
    assert row[1:] == [
        *(["✓holds"] * 4),
        "–does not apply: there is no second run",
        "✗ no",
        *(["? not judged"] * 2),
        "1,900 store",
    ]


def test_times_in_the_matrix_are_those_that_the_liveness_oracle_judged_by(tmp_path: Path) -> None:
    said = Verdict("O6 liveness", False, "late", {"longest_silence_seconds": 12.5, "seconds_to_zero_lag": "never"})
    document, page = written([replace(result(1, "late"), verdicts=(said,))], tmp_path)
    assert next(row for row in page.rows if row[0].startswith("1 late"))[2:4] == ["12.5", "never"]
    assert document["results"][0]["longest_silence_seconds"] == 12.5


def test_markup_in_what_a_drill_tells_is_shown_as_text(tmp_path: Path) -> None:
    _, page = written(odd_results(), tmp_path)
    assert page.text.count(SCRIPT) >= 5
    assert "nothing <b>bold</b>" in page.text
    assert "b" not in page.tags


def test_what_failed_is_named_and_linked_at_the_top(tmp_path: Path) -> None:
    _, page = written(realistic_results(), tmp_path)
    top = page.text[: page.text.index("Matrix")]
    assert "✗ 18 of 20 drills passed" in top
    assert "3 of 4 promises taken back were found" in top
    assert "7 answer-lost: O3 conservation says no" in " ".join(top.split())
    assert "16 disk-full: could not be judged" in " ".join(top.split())
    assert "23 at-ignored: not found: O4 was to say no" in " ".join(top.split())


def test_a_report_of_drills_that_passed_and_controls_that_were_found_says_so(tmp_path: Path) -> None:
    results = [result(1, "one"), control(21, "no-dedup", "dedup is off", "O1: counts? differ")]
    document, page = written(results, tmp_path)
    assert document["passed"] is True
    assert "✓ 1 of 1 drills passed" in page.text
    assert "each promise taken back was found by the oracle that speaks of it (1 of 1)" in page.text
    assert "✗" not in page.text[: page.text.index("Matrix")]


def test_a_control_shows_the_promise_the_oracle_expected_and_its_sentence(tmp_path: Path) -> None:
    _, page = written([control(21, "no-dedup", "dedup is off", "O1: counts? differ")], tmp_path)
    row = next(row for row in page.rows if row[0].startswith("21 no-dedup"))
    assert row[1:3] == ["dedup is off", "O1"]
    assert "says no: 12 counts differ: artist 17" in row[3]


def test_no_result_is_no_success(tmp_path: Path) -> None:
    document, page = written([], tmp_path)
    assert document["passed"] is False
    assert "✗ 0 of 0 drills passed" in page.text


def test_json_holds_everything_and_reads_back_equal(tmp_path: Path) -> None:
    results = realistic_results()
    document, _ = written(results, tmp_path)
    assert document["results"] == [result_json(each) for each in results]
    first = document["results"][0]
    told = (tuple(Sample(**each) for each in first["samples"]), tuple(Moment(**each) for each in first["moments"]))
    assert told == (results[0].samples, results[0].moments)
    assert tuple(Verdict(**each) for each in first["verdicts"]) == results[0].verdicts
    assert {key: document[key] for key in ("schema", "seed", "machine", "passed", "drills", "controls")} == {
        "schema": 1,
        "seed": 7,
        "machine": "2 cores",
        "passed": False,
        "drills": {"passed": 18, "of": 20},
        "controls": {"found": 3, "of": 4},
    }


def test_json_of_odd_results_is_json_for_everyone(tmp_path: Path) -> None:
    as_json, _ = write_report(odd_results(), tmp_path, seed=7, machine="2 cores")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    document = json.loads(as_json.read_text(), parse_constant=refuse)
    assert document["results"][0]["verdicts"][0]["figures"] == {"first<difference>": SCRIPT, "ratio": None, "rows": 0}


def seen(
    *produced_applied_stored: tuple[int | None, int | None, int | None], memory: Sequence[dict[str, int]] = ()
) -> Result:
    memories = memory or [{}] * len(produced_applied_stored)
    pairs = enumerate(zip(produced_applied_stored, memories, strict=True))
    taken = tuple(Sample(float(second), *known, mb) for second, (known, mb) in pairs)
    return replace(result(1, "seen"), samples=taken, moments=())


def test_throughput_is_the_difference_a_second_and_lag_what_is_not_yet_there() -> None:
    #  second     0            1            2              3              4
    drill = seen((0, 0, 0), (100, 50, 0), (200, 150, 50), (200, 200, 150), (200, 200, 200))
    throughput, lag, _ = charts(drill)
    applied, produced = throughput.lines
    assert (throughput.top, applied.peak, produced.peak) == (100, 100, 100)
    assert applied.path == "M250.0 50.0L500.0 0.0L750.0 50.0L1000.0 100.0"  # 50, 100, 50, 0 of 100: y from above
    behind_applied, behind_stored = lag.lines
    assert (lag.top, behind_applied.peak, behind_stored.peak) == (200, 50, 150)
    assert behind_stored.path == "M0.0 100.0L250.0 50.0L500.0 25.0L750.0 75.0L1000.0 100.0"


def test_a_line_has_a_gap_where_nobody_answered_and_a_dot_where_one_answer_stands_alone() -> None:
    drill = seen((10, 0, 0), (None, None, None), (10, 5, 0), (None, None, None), (10, 10, 0), (10, 10, 5))
    assert charts(drill)[1].lines[0].path == "M0.0 0.0h0M400.0 50.0h0M800.0 100.0L1000.0 100.0"


def test_a_line_that_nobody_ever_answered_for_says_so(tmp_path: Path) -> None:
    _, page = written([seen((None, None, None), (None, None, None))], tmp_path)
    assert "produced − stored (no answer)" in " ".join(page.text.split())


def test_a_process_that_is_down_has_a_gap_in_its_memory() -> None:
    drill = seen(*[(0, 0, 0)] * 4, memory=[{"a": 10, "b": 5}, {"a": 10}, {"a": 10, "b": 5}, {"a": 10, "b": 5}])
    memory = charts(drill)[2]
    assert [(line.name, line.path.count("M")) for line in memory.lines] == [("a", 1), ("b", 2)]


def test_faults_are_lines_at_their_second_by_number() -> None:
    happened = (
        Moment(0, "phase", "load"),
        Moment(2, "fault", "kill"),
        Moment(2.02, "fault", "kill"),
        Moment(3, "seen", "up"),
    )
    drill = replace(seen(*[(0, 0, 0)] * 5), moments=happened[::-1])  # numbered by time, whatever the order told
    marks = [(mark.percent, mark.kind, mark.label) for mark in charts(drill)[0].marks]
    assert marks == [(0, "phase", "load"), (50, "fault", "1"), (50.5, "fault", ""), (75, "seen", "")]


def test_a_scale_ends_at_a_round_value_no_less() -> None:
    assert [nice(value) for value in (0, 0.7, 1, 40_560, 299_000, 8.5, float("inf"))] == [1, 0.8, 1, 50_000, 300_000, 10, 1]


def test_numbers_have_as_many_decimals_as_say_something() -> None:
    assert [number(value) for value in (1204117, 12.46, 0.0123, 3.0, 20_000.7, "never", float("nan"))] == [
        "1,204,117",
        "12.5",
        "0.012",
        "3",
        "20,001",
        "never",
        "–",
    ]


def test_the_terminal_shows_the_matrix_in_100_columns_and_where_the_report_lies() -> None:
    told = shown(realistic_results())
    assert max(map(len, told.splitlines())) <= 100
    matrix = told[told.rindex("peak MB") :]
    assert re.search(r"7 +answer-lost +yes +yes +NO +yes +yes +yes +[\d.]+ +[\d.]+ +\d+ +FAILED", matrix)
    assert re.search(r"16 +disk-full .*ERROR", matrix)
    assert re.search(r"at-ignored .* O4 +NOT FOUND", matrix)
    assert "18 of 20 drills passed, 3 of 4 promises" in matrix
    assert matrix.rstrip().endswith("report: drills/report.html")


def test_the_terminal_shows_one_drill_with_each_sentence_moment_and_peak() -> None:
    told = " ".join(shown([realistic_results()[6]]).split())
    assert "missing offsets 881203, 881204." in told
    assert "60.0 fault kill -9 of classify-1, pid 4000" in told
    assert re.search(r"peak memory: store \d+ MB, broker \d+ MB", told)


def test_the_terminal_shows_odd_results_as_they_are() -> None:
    assert SCRIPT in " ".join(shown([result for result in odd_results() if "\udcff" not in result.bound]).split())
