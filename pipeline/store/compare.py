"""One question, the top artists of a final window, answered from raw plays, from panes and from the published lists: what
each reads, how long it takes, what it occupies, and whether they agree.

newest final window ─► the same question three ways, several times each ─► medians, and the first difference
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import median
from typing import Any, Literal

from clickhouse_connect.driver.exceptions import Error as EngineError

from pipeline.errors import ListeningError, UnavailableError
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.client import Pool
from pipeline.store.queries import newest_final
from pipeline.store.refusals import sentence
from pipeline.store.watermarks import watermarks

Name = Literal["plays", "panes", "published"]
REPEATED = 5
"""Times each is asked: the median stands."""
Ranked = list[tuple[int, int]]
"""(artist_id, plays), by rank."""
_WITHIN = ">= fromUnixTimestamp64Milli({start:Int64}, 'UTC')"
_BEFORE = "< fromUnixTimestamp64Milli({end:Int64}, 'UTC')"
WAYS: Mapping[Name, tuple[str, str]] = {
    "plays": (
        "plays",
        f"""
        SELECT artist_id, count() AS plays FROM plays FINAL
        WHERE outcome = 'accepted' AND event_time {_WITHIN} AND event_time {_BEFORE}
        GROUP BY artist_id ORDER BY plays DESC, artist_id ASC LIMIT {{k:UInt32}}
        """,
    ),
    "panes": (
        "artist_counts",
        f"""
        SELECT artist_id, sum(plays) AS plays FROM artist_counts FINAL WHERE pane {_WITHIN} AND pane {_BEFORE}
        GROUP BY artist_id HAVING plays > 0 ORDER BY plays DESC, artist_id ASC LIMIT {{k:UInt32}}
        """,
    ),
    "published": (
        "top_artists",
        """
        SELECT artist_id, plays FROM top_artists_merged
        WHERE final AND window_end = fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND rank <= {k:UInt32} ORDER BY rank
        """,
    ),
}
"""Way → the table that it reads, and the question."""


class NothingFinalError(ListeningError):
    """No window is final yet, so there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Way:
    """An answer and what it took. `rows_read`, `bytes_read`, `milliseconds`: as the engine itself says, medians.
    `rows_stored`, `bytes_on_disk`: of its table in all, versions that are not merged yet included."""

    name: Name
    table: str
    ranked: Ranked
    rows_read: int
    bytes_read: int
    milliseconds: float
    rows_stored: int
    bytes_on_disk: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of the window [start_ms, end_ms) and its first `k` artists. `difference`: where two don't agree; empty: they do."""

    start_ms: int
    end_ms: int
    k: int
    ways: list[Way]
    difference: str
    note: str


def compare(
    settings: Settings, pool: Pool, asked: Asked, window_seconds: int, before_ms: int | None, repeated: int = REPEATED
) -> Comparison:
    """Of the newest final window that ends at `before_ms` at the latest. A length other than the run's is rounded to whole
    panes, and no published list answers it.

    Raises NothingFinalError where none is final, UnavailableError where the engine is away or busy.
    """
    known = watermarks(settings, asked)
    # Final is what is counted; raw plays have a sink of their own, which may be behind that.
    stored = min(known.classified, known.counted) - settings.rules.grace_ms
    final = newest_final(settings, settings.top_k, stored if before_ms is None else min(before_ms, stored), asked)
    if final is None:
        raise NothingFinalError("no window that ends by then is final yet: its watermark must pass its end and the grace")
    pane, k = settings.pane_seconds, settings.top_k
    length = max(pane, window_seconds - window_seconds % pane)
    start = max(0, final.end_ms - length * 1000)
    is_published = length == settings.window_seconds
    names = [name for name in WAYS if is_published or name != "published"]
    given = {"start": str(start), "end": str(final.end_ms), "k": str(k)}
    try:
        with pool.reader() as client:
            sizes = _sizes(client, settings.database)
            ways = [_way(client, name, given, sizes, repeated) for name in names]
    except EngineError as error:
        raise UnavailableError(f"the store can't answer just now: {sentence(error)}") from error
    notes = []
    if length != window_seconds:
        notes.append(f"the length {window_seconds} s was rounded to {length} s, whole panes")
    if not is_published:
        notes.append(f"published lists are of windows of {settings.window_seconds} s, LISTENING_WINDOW_SECONDS")
    return Comparison(start, final.end_ms, k, ways, difference({way.name: way.ranked for way in ways}), "; ".join(notes))


def difference(answers: Mapping[str, Ranked]) -> str:
    """The first place at which an answer differs from the first one, in a sentence; empty where all are the same."""
    (first, expected), *others = answers.items()
    for name, ranked in others:
        for rank, (one, other) in enumerate(zip_longest(expected, ranked), 1):
            if one != other:
                return f"rank {rank}: {_place(one)} by {first}, {_place(other)} by {name}"
    return ""


def _place(place: tuple[int, int] | None) -> str:
    return "nobody" if place is None else f"artist {place[0]} with {place[1]:,} plays"


def _way(client: Any, name: Name, given: dict[str, str], sizes: Mapping[str, tuple[int, int]], repeated: int) -> Way:
    table, query = WAYS[name]
    answers = [json.loads(bytes(client.raw_query(query, parameters=given, fmt="JSON"))) for _ in range(repeated)]
    rows_stored, bytes_on_disk = sizes.get(table, (0, 0))
    return Way(
        name=name,
        table=table,
        # 64-bit numbers come as numbers or in quotes, as the server is set.
        ranked=[(int(row["artist_id"]), int(row["plays"])) for row in answers[-1]["data"]],
        rows_read=_middle(answers, "rows_read"),
        bytes_read=_middle(answers, "bytes_read"),
        milliseconds=round(median(answer["statistics"]["elapsed"] for answer in answers) * 1000, 2),
        rows_stored=rows_stored,
        bytes_on_disk=bytes_on_disk,
    )


def _middle(answers: Sequence[Mapping[str, Any]], name: str) -> int:
    return round(median(int(answer["statistics"][name]) for answer in answers))


def _sizes(client: Any, database: str) -> dict[str, tuple[int, int]]:
    """Table → rows and bytes of its parts."""
    found = client.query(
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts "
        "WHERE active AND database = {database:String} GROUP BY table",
        parameters={"database": database},
    ).result_rows
    return {table: (int(rows), int(size)) for table, rows, size in found}
