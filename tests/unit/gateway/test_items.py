"""Items to events: strict, item by item, and with classify's own rules."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import schemas
from producers.gateway.items import MOST_ERRORS, Checked, check, id_for

NOW = 1_795_392_000_000
AHEAD = 600_000
EXAMPLES = sorted((schemas.FOLDER / schemas.EVENTS_SUBJECT / "examples").glob("*.json"))


def item(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()), "user_id": 1, "artist_id": 2, "track_id": 3, "album_id": 0, "played_at": NOW - 1000,
        "ms_played": 60_000, "track_ms": 90_000, "session_id": 1, "sequence": 0, "platform": "web", "service": "theirs",
        "country": "DE", "offline": False, "reason_end": "finished", "sent_at": NOW,
    } | changes  # fmt: skip


def checked(*items: Any, key: str | None = None) -> Checked:
    id_of = id_for("01234567", key) if key else None
    return check(items, now_ms=NOW, max_ahead_ms=AHEAD, id_of=id_of)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_s_examples_are_taken_and_refused_as_they_say(path: Path) -> None:
    example = json.loads(path.read_text())
    found = check([example["event"]], now_ms=4_102_444_800_000, max_ahead_ms=AHEAD, id_of=None)
    assert bool(found.events) == path.stem.startswith("valid"), found.refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"user_id": "1"}, "user_id"),
        ({"user_id": 1.0}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"user_id": 0}, "user_id"),
        ({"user_id": 2**63}, "user_id"),
        ({"user_id": 10**400}, "user_id"),
        ({"user_id": float("inf")}, "user_id"),
        ({"user_id": [1]}, "user_id"),
        ({"offline": 0}, "offline"),
        ({"offline": "false"}, "offline"),
        ({"event_id": 5}, "event_id"),
        ({"event_id": None}, "event_id"),
        ({"event_id": "\ud800"}, "event_id"),
        ({"event_id": "x" * 36}, "event_id"),
        ({"platform": "\udfff"}, "platform"),
        ({"service": "a\ud800"}, "service"),
        ({"service": "ü" * 33}, "service"),
        ({"country": "DEU"}, "country"),
        ({"played_at": 1_795_392_000}, "played_at"),
        ({"sent_at": None}, "sent_at"),
        ({"\ud800": 1}, ""),
        ({"__class__": 1}, "__class__"),
        ({"played_at": NOW + AHEAD + 1}, "played_at"),
    ],
)
def test_what_is_wrong_is_named_by_its_field_and_beside_it_events_are_taken(changes: dict[str, Any], field: str) -> None:
    good = item()
    found = checked(good, item(**changes), item())
    assert list(found.events) == [0, 2]
    assert found.events[0].event_id == uuid.UUID(good["event_id"])
    (refused,) = found.refused
    assert (refused.index, refused.errors[0].field) == (1, field)
    json.dumps([refused.errors[0].field, refused.errors[0].why], ensure_ascii=False).encode()


def test_a_clock_may_run_ahead_as_far_as_classify_allows() -> None:
    assert checked(item(played_at=NOW + AHEAD)).events


@pytest.mark.parametrize("wrong", [None, 1, "x", [], [item()], True])
def test_what_is_no_object_is_no_event(wrong: Any) -> None:
    found = checked(wrong, item())
    assert list(found.events) == [1]
    assert [(refused.index, refused.event_id, refused.errors[0].field) for refused in found.refused] == [(0, None, "")]


def test_the_refused_item_keeps_the_id_that_it_has() -> None:
    known = uuid.uuid4()
    found = checked(item(event_id=str(known), country="x"), item(event_id="x", country="x"))
    assert [refused.event_id for refused in found.refused] == [known, None]
    assert [wrong.field for wrong in found.refused[1].errors] == ["event_id", "country"]


def test_missing_ids_follow_from_key_idempotency_key_and_place_alone() -> None:
    nameless = {name: value for name, value in item().items() if name not in ("event_id", "sent_at")}
    first, again, other = (
        [event.event_id for event in checked(nameless, item(), nameless, key=key).events.values()] for key in ("k", "k", "l")
    )
    assert (first[0], first[2]) == (again[0], again[2])
    assert len({first[0], first[2], other[0], other[2]}) == 4
    assert first[1] != again[1]
    # By hand: a UUID of version 5 over its namespace, so that a rewrite can't change the ids of calls under way.
    namespace = uuid.UUID("6f1d0c3e-6a0b-5d0f-9b53-0e6f3a1c7d42")
    assert first[2] == uuid.uuid5(namespace, "01234567\nk\n2")
    assert checked(nameless, key="k").events[0].sent_at == NOW


def test_an_item_with_a_thousand_faults_names_a_few() -> None:
    (refused,) = checked({f"f{number}": 1 for number in range(1_000)}).refused
    assert len(refused.errors) == MOST_ERRORS
