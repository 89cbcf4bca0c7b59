"""A worker's metrics file: written anew, and no reason to stop where it can't be."""

from pathlib import Path

import pytest

from pipeline.drills.small_disk import small_disk
from pipeline.metrics import ClassifyMetrics, metrics_file, read_total
from tests.benchmarks.ours import Work, work_of
from tests.small_disks import needs_mounts


@needs_mounts
def test_on_a_full_disk_metrics_stay_as_they_were_which_is_said_once_and_are_written_when_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "metrics", 1) as disk:
        metrics = ClassifyMetrics(metrics_file(tmp_path, "classify", 1))
        metrics.ticks.inc(3)
        metrics.write()
        disk.fill()
        metrics.ticks.inc(4)
        metrics.write()
        metrics.write()
        assert read_total(tmp_path, "classify", "listening_ticks") == 3
        disk.free()
        metrics.write()
        assert read_total(tmp_path, "classify", "listening_ticks") == 7
    assert capsys.readouterr().out.count("No space left on device") == 1


def test_a_folder_that_can_not_be_made_is_no_reason_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics").touch()
    ClassifyMetrics(metrics_file(tmp_path, "classify", 1)).write()
    assert "the metrics can't be written" in capsys.readouterr().out


def test_work_begins_with_the_first_fetch_taken_and_ends_with_the_last_acknowledged_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    #  10 a fetch is taken   12 acknowledged   20 another   25 acknowledged   30 a third, whose outcome is still under way
    file = metrics_file(tmp_path, "classify", 1)
    metrics = ClassifyMetrics(file)
    assert work_of(file) == Work(0, 0.0, 0.0)
    for taken, acknowledged, number in ((10.0, 12.0, 3), (20.0, 25.0, 4), (30.0, None, 0)):
        monkeypatch.setattr("time.time", lambda taken=taken: taken)
        with metrics.at_work():
            if acknowledged:
                monkeypatch.setattr("time.time", lambda acknowledged=acknowledged: acknowledged)
                metrics.acknowledged()
                metrics.events.labels("accepted").inc(number)
                metrics.ticks.inc()
    metrics.write()
    assert work_of(file) == Work(9, 10.0, 25.0)
