"""When the gateway ticks, by a clock of the test's own; the ticks themselves are in the log of the end-to-end tests."""

import asyncio
from collections.abc import Iterable

import pytest

from pipeline.settings import load
from producers.gateway import ticks
from producers.gateway.publish import KafkaPublisher
from producers.gateway.ticks import GatewayTicks

HOUR = 3_600_000
AT = 1_000 * HOUR
"""The beginning of a pane, which has 10 s."""


def run(monkeypatch: pytest.MonkeyPatch, instants: Iterable[int]) -> tuple[list[float], list[int]]:
    """What was slept, in seconds, and ticked, until the clock that reads these instants has no more."""
    slept: list[float] = []
    ticked: list[int] = []
    clock = iter(instants)

    class EndOfTestError(Exception):
        pass

    def now_ms() -> int:
        for instant in clock:
            return instant
        raise EndOfTestError

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Noted(GatewayTicks):
        async def tick(self, clock: int) -> None:
            ticked.append(clock)

    monkeypatch.setattr(ticks, "now_ms", now_ms)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    settings = load(kafka_bootstrap="127.0.0.1:1", pane_seconds=10)
    with pytest.raises(EndOfTestError):
        asyncio.run(Noted(settings, KafkaPublisher(settings, 1)).run())
    return slept, ticked


def test_each_pane_is_ticked_at_its_end_though_a_sleep_was_short(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, ticked = run(monkeypatch, [AT, AT + 9_990, AT + 10_001, AT + 10_002, AT + 20_000])
    assert slept == [10, 0.01, 9.998]
    assert ticked == [AT + 10_000, AT + 20_000]


def test_nobody_sleeps_longer_than_a_pane_while_the_clock_is_an_hour_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    # read:  AT ── an hour back ── an hour back + 4 s ── mended ── …
    slept, ticked = run(monkeypatch, [AT, AT - HOUR + 2_000, AT - HOUR + 6_000, AT + 11_000, AT + 12_000, AT + 20_000])
    assert max(slept) <= 10
    assert ticked == [AT - HOUR + 10_000, AT + 20_000]


def test_a_clock_that_was_an_hour_ahead_is_followed_when_it_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, ticked = run(monkeypatch, [AT + HOUR, AT + 3_000, AT + 10_000])
    assert slept == [10, 7]
    assert ticked == [AT + 10_000]
