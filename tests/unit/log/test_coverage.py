"""Rank's proof that no announcement is missing, where two count workers announce at once: a zombie and its successor."""

import itertools

import pytest

from pipeline.codec.headers import CountsHeaders
from pipeline.errors import RefusedError
from pipeline.log.coverage import Coverage


def announcement(counted: int, parts: int, first: int = 0) -> list[CountsHeaders]:
    return [CountsHeaders(0, first, 0, counted, 100 + counted, part, parts, "rules") for part in range(1, parts + 1)]


@pytest.mark.parametrize(("zombie", "successor"), [(2, 2), (2, 4), (4, 2)])
def test_parts_of_two_announcements_of_the_same_offsets_may_lie_among_each_other(zombie: int, successor: int) -> None:
    ours, theirs = announcement(zombie, 2), announcement(successor, 2)
    for places in itertools.combinations(range(4), 2):
        coverage, left, right = Coverage("artist-counts", 0, 1, None), iter(ours), iter(theirs)
        told = [next(left) if place in places else next(right) for place in range(4)]
        completed = [coverage.completes(part) for part in told]
        assert any(completed)
        assert coverage.completes(announcement(5, 1, first=max(zombie, successor) + 1)[0]), "nothing is missing"


def test_a_part_that_was_never_there_is_missed() -> None:
    coverage = Coverage("artist-counts", 0, 1, None)
    assert coverage.completes(announcement(2, 1)[0])
    with pytest.raises(RefusedError, match="parts of the announcement up to source offset 4"):
        coverage.completes(announcement(4, 2, first=3)[1])
