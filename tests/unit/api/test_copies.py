"""Which kind of copy each duplicate is, by the real engine, against kinds that were decided when the copies were made."""

import random
from collections import Counter
from typing import Any

import pytest

from pipeline.api.copies import REPLAYED_MS, Clock, CopyFold
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.local import Local
from pipeline.store.readers import PlaysReader
from tests.unit.store.conftest import Put
from tests.unit.store.made import T0, play, plays

STEP_MS = 10_000
"""Between two offsets."""


def log_with_copies(records: int, seed: int) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Rows of one partition, a third of them copies, and how many of each kind.

    The clock goes on by STEP_MS an offset, so a copy is a replayed one from 60 offsets on; there is none of about that
    distance, since the fold's clock is coarser.
    """
    chosen, kinds = random.Random(seed), Counter[str]()
    made: list[dict[str, Any]] = []
    for offset in range(records):
        own = {"event_time": T0 + offset * STEP_MS, "played_at": T0 + offset * STEP_MS, "sent_at": T0 + offset * STEP_MS + 5}
        firsts = [row for row in made if row["outcome"] != "duplicate"]
        if not firsts or chosen.random() < 2 / 3:
            outcome = chosen.choice(["accepted", "accepted", "accepted", "late", "skipped", "suspect"])
            of = {"first_offset": chosen.choice(firsts)["offset"]} if outcome == "suspect" and firsts else {}
            kinds["cross_service"] += bool(of)
            made.append(play(offset, outcome, **own, **of))
            continue
        is_far = chosen.random() < 0.4 and offset > 150
        first = chosen.choice(firsts[:20] if is_far else firsts[-5:])
        sent_at = first["sent_at"] + chosen.choice([0, 0, 4_000])
        if first["outcome"] == "skipped":
            kind = "unknown_first"
        elif is_far:
            kind = "replayed"
        else:
            kind = "retry" if sent_at == first["sent_at"] else "resent"
        kinds[kind] += 1
        # Its own event_time is that of its played_at, which says nothing of when it came.
        copied = {"event_time": first["event_time"], "played_at": first["played_at"], "sent_at": sent_at}
        made.append(play(offset, "duplicate", **copied, event_id=first["event_id"], first_offset=first["offset"]))
    return made, kinds


@pytest.mark.parametrize("at_once", [1 << 20, 101])
def test_each_copy_is_told_apart_however_few_are_looked_at_at_once(
    put: Put, pool: Pool, settings: Settings, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.api.copies.SLOT", 4)
    made, expected = log_with_copies(600, seed=3)
    put(PlaysReader(settings.rules.fingerprint), 0, [plays(0, made, settings.rules.fingerprint)])
    fold, asked, ends = CopyFold(at_once), Local(pool), {0: len(made)}
    assert fold.pending(ends) == len(made)
    looks = 0
    while fold.pending(ends):
        fold.read(settings, asked, ends)
        looks += 1
    assert looks == -(-len(made) // at_once)
    assert fold.counts == expected
    assert set(expected) == {"retry", "resent", "replayed", "cross_service", "unknown_first"}
    fold.read(settings, asked, ends)
    assert fold.counts == expected


def test_a_clock_never_goes_back_and_is_known_between_what_moved_it() -> None:
    clock = Clock()
    for slot, time in ((10, 500), (11, 400), (11, 450), (14, 700)):
        clock.move(slot, time)
    assert [clock.at(slot) for slot in (0, 10, 11, 12, 13, 14, 99)] == [500, 500, 500, 500, 500, 700, 700]
    assert REPLAYED_MS == 600_000
