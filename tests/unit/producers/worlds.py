"""Scenarios that tests play through: small, without a broker."""

from functools import cache
from typing import Any

import numpy as np

from pipeline.rules import Rules
from producers.catalogue.artists import Catalogue, build_catalogue
from producers.columns import Columns, join
from producers.listeners.people import People, build_people
from producers.scenarios.model import Scenario
from producers.script import script

START = 1_795_392_000_000
RULES = Rules(
    partitions=4, horizon_ms=7_200_000, grace_ms=60_000, slot_ms=300_000, pane_ms=10_000,
    max_ahead_ms=600_000, min_play_ms=30_000, plausibility="test",
)  # fmt: skip


def perform(scenario: Scenario, rules: Rules = RULES, start: int = START) -> Columns:
    """All records of a scenario."""
    catalogue, people = cached_catalogue(scenario.artists, scenario.seed), cached_people(scenario.users, scenario.seed)
    return join(list(script(scenario, catalogue, people, rules, start)))


@cache
def cached_catalogue(artists: int, seed: int) -> Catalogue:
    """A catalogue, built once for all tests that only read it."""
    return build_catalogue(artists, seed)


@cache
def cached_people(users: int, seed: int) -> People:
    """People, likewise."""
    return build_people(users, seed)


def identities(records: Columns) -> list[bytes]:
    """The event id of each record."""
    data = records["event_id"].tobytes()
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def same(one: Columns, other: Columns) -> bool:
    """Whether two scripts are the same in every byte."""
    return one.keys() == other.keys() and all(_bytes(one[name]) == _bytes(other[name]) for name in one)


def _bytes(values: Any) -> bytes:
    return np.ascontiguousarray(values).tobytes()
