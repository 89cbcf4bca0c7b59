"""A worker's metrics file: written anew, and no reason to stop where it can't be."""

from pathlib import Path

import pytest

from pipeline.drills.small_disk import small_disk
from pipeline.metrics import ClassifyMetrics, metrics_file, read_total
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
