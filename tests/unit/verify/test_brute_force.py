"""The fold against a model without memory: every row looks back over all rows before it, O(n²)."""

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.verify.recompute import Record
from tests.unit.verify.logs import BASE, RULES, log, outcomes, play, tick, watermarks

# The name is an id, a user is one of two, and a service one of two.
EVENTS = st.tuples(
    st.sampled_from(["a1x", "b1x", "c1y", "d1y", "e2x", "f2y"]),
    st.integers(0, 150),
    st.integers(-6, 80),
    st.sampled_from([29_999, 30_000]),
)
# Reports that lie close enough together for the near-duplicate rule.
CLOSE = st.tuples(
    st.sampled_from([f"{id_}{user}{service}" for id_ in "ghijklm" for user in "12" for service in "xy"]),
    st.integers(0, 25),
    st.integers(-2, 2),
    st.sampled_from([29_999, 30_000, 30_000, 30_000]),
)
TICKS = st.tuples(st.just("tick"), st.integers(0, 200), st.integers(-5, 20), st.just(0))


def model(steps: list[tuple[str, int, int, int]], near: str) -> list[tuple[str, int, int]]:
    """(outcome, first offset or -1, watermark), in seconds."""
    horizon, grace, slot, ahead = (
        length // 1000 for length in (RULES.horizon_ms, RULES.grace_ms, RULES.slot_ms, RULES.max_ahead_ms)
    )
    base = BASE // 1000
    done: list[tuple[str, int, int]] = []
    for offset, (name, played, delay, ms_played) in enumerate(steps):
        appended = played + delay
        valid = [n for n in range(offset) if done[n][0] not in ("tick", "invalid")]
        times = [min(steps[n][1], steps[n][1] + steps[n][2]) for n in range(offset) if done[n][0] != "invalid"]
        if name != "tick" and played > appended + ahead:
            done.append(("invalid", -1, max(times, default=-base)))
            continue
        watermark = max([*times, min(played, appended)])
        if name == "tick":
            done.append(("tick", -1, watermark))
            continue
        # Sightings that were remembered, newest slot first, then the earliest.
        sightings = sorted(
            (-((base + steps[n][1]) // slot), n) for n in valid if steps[n][0] == name and done[n][0] != "duplicate"
        )
        counts = sightings and -sightings[0][0] >= (base + watermark - horizon) // slot
        if played < watermark - horizon:
            done.append(("late", offset, watermark))
        elif counts:
            done.append(("duplicate", sightings[0][1], watermark))
        elif min(played, appended) < watermark - grace:
            done.append(("late", offset, watermark))
        elif ms_played < 30_000:
            done.append(("skipped", offset, watermark))
        else:
            # Reports of the listen by the other service, themselves no copies: nearest first, then the earliest.
            others = sorted(
                (abs(steps[n][1] - played), n)
                for n in valid
                if done[n][:2] == ("accepted", n) and steps[n][0][1] == name[1] and steps[n][0][2] != name[2]
            )
            first = others[0][1] if near != "off" and others and others[0][0] <= 7 else offset
            done.append(("suspect" if near == "drop" and first != offset else "accepted", first, watermark))
    return done


def record(step: tuple[str, int, int, int]) -> Record:
    name, played, delay, ms_played = step
    if name == "tick":
        return tick(played, at=played + delay)
    return play(name, played, at=played + delay, ms_played=ms_played, user_id=int(name[1]), service=name[2])


@pytest.mark.parametrize("near", ["off", "mark", "drop"])
@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(st.one_of(EVENTS, EVENTS, EVENTS, TICKS), max_size=25), st.lists(CLOSE, max_size=25)))
def test_the_fold_agrees_with_looking_back_over_everything(
    near: Literal["off", "mark", "drop"], steps: list[tuple[str, int, int, int]]
) -> None:
    expected = model(steps, near)
    result = log(*map(record, steps), rules=replace(RULES, near_duplicates=near, near_tolerance_ms=7_000))
    assert outcomes(result) == [outcome for outcome, _, _ in expected]
    assert list(result.folds[0].rows.integers[1]) == [first for _, first, _ in expected if first >= 0]
    assert watermarks(result) == [0 if mark == -(BASE // 1000) else mark for _, _, mark in expected]
    panes: dict[tuple[int, int], int] = {}
    for (_, played, delay, _), (outcome, _, _) in zip(steps, expected, strict=True):
        if outcome == "accepted":
            pane = (BASE + min(played, played + delay) * 1000) // 10_000 * 10_000
            panes[pane, 1] = panes.get((pane, 1), 0) + 1
    assert dict(result.folds[0].panes) == panes
