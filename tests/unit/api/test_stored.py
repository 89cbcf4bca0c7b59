"""What the engine tells when it is asked again: folds go on where they were, however often a record is sunk."""

import pytest

from pipeline.api.look_store import StoreLook
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.local import Local
from pipeline.store.readers import PlaysReader, TopsReader
from tests.unit.store.conftest import Put
from tests.unit.store.made import T0, Made, play, plays, top


@pytest.mark.parametrize("again", [False, True], ids=["once", "sunk again"])
def test_a_second_look_takes_what_is_new_and_nothing_twice(put: Put, pool: Pool, settings: Settings, again: bool) -> None:
    rules = settings.rules.fingerprint
    rows = [play(n, "accepted" if n % 2 == 0 else "duplicate", first_offset=n - n % 2) for n in range(60)]
    first, second = plays(0, rows[:40], rules), plays(1, rows[40:], rules, ticks=3)
    nothing: Made = ([], b"")
    elsewhere = plays(0, [play(0), play(1)], rules)
    look = StoreLook(settings, Local(pool))
    seen = [look()]
    put(PlaysReader(rules), 0, [first])
    put(TopsReader(), 0, [top(T0 + 10_000, 0, [(1, 1)], final=True, counted=1)])
    seen.append(look())
    put(PlaysReader(rules, {} if again else {0: 40}), 0, [first if again else nothing, second])
    put(PlaysReader(rules), 1, [elsewhere])
    put(TopsReader(), 0, [top(T0 + 20_000, 0, [(1, 1)], final=False, counted=1)])
    seen += [look(), look()]
    assert [one.totals["records"] for one in seen] == [0, 40, 62, 62]
    assert [one.totals["duplicates"] for one in seen] == [0, 20, 30, 30]
    assert [one.totals["ticks"] for one in seen] == [0, 0, 3, 3]
    assert [sum(one.copies.values()) for one in seen] == [0, 20, 30, 30]
    assert {number: one.next for number, one in seen[-1].partitions.items()} == {0: 63, 1: 2}
    assert [one.watermark for one in seen] == [0, 0, T0 + 10, T0 + 10]  # of two partitions, when both were heard from
    assert [(one.newest_window_end, one.newest_final_end) for one in seen] == [
        (0, 0), (T0 + 10_000, T0 + 10_000), (T0 + 20_000, T0 + 10_000), (T0 + 20_000, T0 + 10_000),
    ]  # fmt: skip
