"""The ceiling of the dead-letter queue."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codec.records import Refused
from pipeline.errors import RefusedError
from pipeline.workers.ceiling import Ceiling

NONE_IN_A_ROW = 10**9


def counted(ceiling: Ceiling, valid: int, reasons: list[str]) -> None:
    """A batch in which valid and refused records alternate as long as there are both."""
    offsets = np.arange(valid) * 2
    ceiling.count(offsets, [Refused(2 * n + 1, 0, reason, "") for n, reason in enumerate(reasons)])


def test_more_invalid_events_than_allowed_over_the_stretch_stop_the_worker_and_name_the_reasons() -> None:
    ceiling = Ceiling(0.5, 100, NONE_IN_A_ROW)
    counted(ceiling, 40, ["wrong_magic"] * 40)  # too few events to judge
    with pytest.raises(RefusedError, match=r"65 of the last 105 events are invalid \(wrong_magic 55, misrouted 10\)"):
        counted(ceiling, 0, ["wrong_magic"] * 15 + ["misrouted"] * 10)


def test_poison_within_the_ratio_goes_on_for_ever() -> None:
    ceiling = Ceiling(0.5, 100, NONE_IN_A_ROW)
    for _ in range(1000):
        counted(ceiling, 5, ["undecodable"] * 5)


def test_old_poison_is_forgotten() -> None:
    ceiling = Ceiling(0.5, 100, NONE_IN_A_ROW)
    counted(ceiling, 1, ["undecodable"] * 60)
    counted(ceiling, 100, [])
    for _ in range(10):
        counted(ceiling, 60, ["undecodable"] * 50)


def test_the_sentence_of_an_unknown_schema_names_the_command_that_adds_it() -> None:
    with pytest.raises(RefusedError, match=r"unknown_schema 3.*LISTENING_DLQ_CEILING_CONSECUTIVE=2.*listening schemas add"):
        Ceiling(1.0, 10**6, 2).count(np.arange(0), [Refused(n, 0, "unknown_schema", "") for n in range(3)])


@given(st.lists(st.sampled_from("vvx"), max_size=40), st.lists(st.integers(1, 7)), st.integers(1, 5))
def test_so_many_in_a_row_stop_the_worker_however_the_log_is_cut_into_batches(
    log: list[str], cuts: list[int], allowed: int
) -> None:
    longest = max((len(list(run)) for kind, run in groupby(log) if kind == "x"), default=0)
    ceiling, at = Ceiling(1.0, 10**6, allowed), 0
    stopped = False
    for size in [*cuts, len(log)]:
        batch = range(at, min(at + size, len(log)))
        at = batch.stop
        valid = np.array([offset for offset in batch if log[offset] == "v"], np.int64)
        try:
            ceiling.count(valid, [Refused(offset, 0, "wrong_key", "") for offset in batch if log[offset] == "x"])
        except RefusedError:
            stopped = True
            break
    assert stopped == (longest > allowed)
