"""The broker's own record of commits, in each of its forms."""

import pytest

from pipeline.drills.oracles.commits import Commit, commit_of
from pipeline.drills.oracles.reading import Raw
from tests.unit.drills.oracles.raws import committed


@pytest.mark.parametrize("version", range(5))
def test_a_commit_is_read_in_every_version_that_kafka_has_written(version: int) -> None:
    raw = committed("r.sink", "r.plays", 3, 2**40, "1234", at=1_800_000_000_000, version=version)
    assert commit_of(raw) == Commit("r.sink", "r.plays", 3, 2**40, "1234", 1_800_000_000_000)


def test_the_end_of_a_c_string_is_no_part_of_the_metadata() -> None:
    read = commit_of(committed("r.sink", "r.plays", 3, 5, "1234\0"))
    assert read is not None
    assert read.metadata == "1234"


def test_a_group_that_was_deleted_forgets_its_offset() -> None:
    assert commit_of(committed("r.sink", "r.plays", 3, None)) == Commit("r.sink", "r.plays", 3, None)


def test_records_about_members_are_no_commits() -> None:
    assert commit_of(Raw(0, 0, b"\0\2\0\6r.rank", b"\0\3", {})) is None
    assert commit_of(Raw(0, 0, None, b"", {})) is None


def test_a_form_that_is_unknown_is_said_aloud() -> None:
    with pytest.raises(ValueError, match="a commit of version 9"):
        commit_of(committed("r.sink", "r.plays", 3, 5, version=9))
