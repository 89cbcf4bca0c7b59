"""Rows kept as columns: a million events in plain dictionaries would take gigabytes."""

from array import array
from typing import Any

import pyarrow as pa

INTEGERS = (
    "source_offset",
    "first_offset",
    "appended_at",
    "event_time",
    "user_id",
    "artist_id",
    "track_id",
    "played_at",
    "sent_at",
    "ms_played",
)
TEXTS = ("platform", "service", "country")


class Columns:
    """Valid events in log order; 16 bytes an id, 8 a number or text, 1 an outcome."""

    def __init__(self) -> None:
        self.integers: list[array[int]] = [array("q") for _ in INTEGERS]
        self.texts: list[list[str]] = [[] for _ in TEXTS]
        self.event_ids = bytearray()
        self.outcomes = bytearray()
        self._same: dict[str, str] = {}
        """One object a text, however often it is decoded."""

    def __len__(self) -> int:
        return len(self.outcomes)

    def add(
        self, offset: int, first_offset: int, appended_at: int, event_time: int, event: dict[str, Any], outcome: int
    ) -> None:
        """Append one row; `event` has the fields that carry its own names."""
        offsets, firsts, appended, times, users, artists, tracks, played, sent, lengths = self.integers
        offsets.append(offset)
        firsts.append(first_offset)
        appended.append(appended_at)
        times.append(event_time)
        users.append(event["user_id"])
        artists.append(event["artist_id"])
        tracks.append(event["track_id"])
        played.append(event["played_at"])
        sent.append(event["sent_at"])
        lengths.append(event["ms_played"])
        same = self._same.setdefault
        for name, texts in zip(TEXTS, self.texts, strict=True):
            text = event[name]
            texts.append(same(text, text))
        self.event_ids += event["event_id"]
        self.outcomes.append(outcome)

    def table(self) -> pa.Table:
        """All rows as Arrow: int64, binary(16), string; `outcome` as its int8 code. Adding rows afterwards fails."""
        rows = len(self)
        columns = {
            name: pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(numbers)])
            for name, numbers in zip(INTEGERS, self.integers, strict=True)
        }
        columns["event_id"] = pa.Array.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(self.event_ids)])
        columns["outcome"] = pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(self.outcomes)])
        for name, texts in zip(TEXTS, self.texts, strict=True):
            columns[name] = pa.array(texts, pa.string())
        return pa.table(columns)
