"""The checkpoint of a copy, and the folder that one command holds at a time."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import RefusedError
from pipeline.settings import Settings, load
from producers.replay.checkpoint import Checkpoint, workspace

BEGUN = Checkpoint("old", "a", "b", [5, 6], [0, 0], [0, 0, 0], [0, 0])


@pytest.fixture
def new(tmp_path: Path) -> Settings:
    return load(run="new", data_dir=tmp_path)


def test_a_checkpoint_is_read_as_it_was_saved(new: Settings) -> None:
    with workspace(new) as work:
        assert work.load() is None
        for checkpoint in (BEGUN, replace(BEGUN, due=(7, 8), chunks=3, counters={"events": 1})):
            work.save(checkpoint)
            assert work.load() == checkpoint


def test_a_copy_is_finished_when_all_of_the_snapshot_is_copied_and_no_tick_is_due() -> None:
    done = replace(BEGUN, position=[5, 6])
    assert done.finished
    assert not replace(done, due=(7, 8)).finished
    assert not BEGUN.finished


def test_a_damaged_checkpoint_and_one_of_another_version_are_refused_with_the_remedy(new: Settings) -> None:
    with workspace(new) as work:
        work.save(BEGUN)
        file = new.run_dir / "repartition" / "checkpoint.json"
        for text in (file.read_text()[:-1], '{"source": "old"}', "[]"):
            file.write_text(text)
            with pytest.raises(RefusedError, match="listening delete new --yes"):
                work.load()


def test_a_second_command_into_the_same_run_is_refused_until_the_first_has_ended(new: Settings) -> None:
    with workspace(new), pytest.raises(RefusedError, match="wait until it is done"), workspace(new):
        pass
    with workspace(new):
        pass
