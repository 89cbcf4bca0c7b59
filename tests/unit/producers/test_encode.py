"""The columnar encoder writes what fastavro writes, byte for byte."""

import io
import struct
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import schemas
from producers.catalogue.artists import build_catalogue
from producers.encode import encode_columns, encode_keys
from producers.listeners.people import COUNTRIES, PLATFORMS, SERVICES, build_people
from producers.listeners.tracks import REASONS
from producers.scenarios.model import Scenario
from producers.script import script
from tests.unit.producers.worlds import RULES, START, perform

LONG = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, -1, 63, 64, -64, -65, 2**31 - 1, 2**63 - 1, -(2**63)])
INT = st.integers(-(2**31), 2**31 - 1)
WORDS = ("", "a", "é", "x" * 63, "y" * 64, "z" * 200)
NUMBERS = {
    "user_id": LONG, "artist_id": LONG, "track_id": LONG, "album_id": LONG, "played_at": LONG, "ms_played": INT,
    "track_ms": INT, "session_id": LONG, "sequence": INT, "platform": st.integers(0, 7), "service": st.integers(0, 5),
    "country": st.integers(0, 5), "reason_end": st.integers(0, 5), "sent_at": LONG,
}  # fmt: skip
SCHEMA = fastavro.parse_schema(schemas.schema(schemas.EVENTS_SUBJECT, 1))


@st.composite
def _columns(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 8))
    columns: dict[str, Any] = {
        name: np.array(draw(st.lists(values, min_size=count, max_size=count)), np.int64) for name, values in NUMBERS.items()
    }
    columns["event_id"] = draw(st_numpy.arrays(np.uint8, (count, 16)))
    columns["offline"] = draw(st_numpy.arrays(np.bool_, count))
    return columns


def _by_fastavro(columns: dict[str, Any], row: int, services: tuple[str, ...], countries: tuple[str, ...]) -> bytes:
    event: dict[str, Any] = {name: int(columns[name][row]) for name in NUMBERS}
    event |= {
        "event_id": columns["event_id"][row].tobytes(),
        "offline": bool(columns["offline"][row]),
        "platform": PLATFORMS[event["platform"]],
        "reason_end": REASONS[event["reason_end"]],
        "service": services[event["service"]],
        "country": countries[event["country"]],
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, event)
    return b"\0" + struct.pack(">I", 1) + out.getvalue()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine proves nothing
@given(_columns())
def test_any_columns_encode_as_fastavro_would(columns: dict[str, Any]) -> None:
    buffer, bounds = encode_columns(columns, {"service": WORDS, "country": WORDS})
    rows = range(len(columns["user_id"]))
    assert [buffer[bounds[row] : bounds[row + 1]] for row in rows] == [
        _by_fastavro(columns, row, WORDS, WORDS) for row in rows
    ]
    assert (bounds[0], bounds[-1]) == (0, len(buffer))


def test_a_scenario_encodes_as_fastavro_would() -> None:
    records = perform(Scenario(events=2_000, minutes=10, users=500, artists=100, release={"at": "minute 5"}))
    buffer, bounds = encode_columns(records)
    for row in range(2_000):
        assert buffer[bounds[row] : bounds[row + 1]] == _by_fastavro(records, row, SERVICES, COUNTRIES)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    def encoded(seed: int) -> list[bytes]:
        scenario = Scenario(events=3_000, minutes=7, users=500, artists=100, release={"at": "minute 3"}, seed=seed)
        steps = script(scenario, build_catalogue(100, seed), build_people(500, seed), RULES, START)
        return [encode_columns(step)[0] for step in steps]

    assert encoded(11) == encoded(11)
    assert encoded(11) != encoded(12)


@given(st.lists(st.integers(1, 2**63 - 1), min_size=1))
def test_keys_are_user_ids_in_eight_bytes_big_endian(users: list[int]) -> None:
    assert encode_keys(np.array(users)) == [user.to_bytes(8, "big") for user in users]


@pytest.mark.parametrize("name", ["platform", "reason_end"])
def test_symbols_are_indexed_as_the_schema_lists_them(name: str) -> None:
    fields = {field["name"]: field["type"] for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]}
    assert {"platform": PLATFORMS, "reason_end": REASONS}[name] == tuple(fields[name]["symbols"])
