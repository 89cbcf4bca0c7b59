"""O5: a second, fresh run over the same log leaves the same rows.

capture the source ─► replay it into a new run ─► classify, rank, store of its own ─► equal checksums under FINAL? ─► deleted
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.admin import delete_topics
from pipeline.drills.told import Verdict
from pipeline.errors import ListeningError, UnavailableError
from pipeline.settings import Settings
from pipeline.store.ask import rows

NAME = "O5 replay"
SECONDS, QUIET_SECONDS, POLL_SECONDS = 180.0, 20.0, 1.0
"""How long the second run may take, and for how long its tables must stay as they are to be taken for its last word."""
CEILING_EVENTS = 2**31
_EVENT = (
    "source_partition, source_offset, event_id, user_id, artist_id, track_id, event_time, played_at, sent_at, appended_at, "
    "platform, service, country"
)
_PARTS = "records, ticks, absent, accepted, duplicates, late, skipped, suspect, invalid"
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _PARTS.split(", "))
CONTENT = {
    "plays": (f"{_EVENT}, ms_played, outcome, coalesce(toString(suspect_of), '-')", "plays FINAL"),
    "duplicates": (f"{_EVENT}, first_offset", "duplicates FINAL"),
    "artist_counts": ("pane, artist_id, source_partition, plays", "artist_counts FINAL"),
    "top_artists": (
        "window_end, shard, rank, artist_id, plays",
        "(SELECT *, max(version) OVER (PARTITION BY window_end, shard) AS newest FROM top_artists FINAL) "
        "WHERE final AND version = newest",
    ),
    "batches": (
        f"source_partition, reached, {_PARTS}",
        f"(SELECT source_partition, max(last_offset) AS reached, {_SUMS} FROM batches FINAL GROUP BY source_partition)",
    ),
}
"""Table → what of it counts, and where it is read: no version, and nothing that depends on where batches were split."""


def checksums(settings: Settings) -> dict[str, str]:
    """Table → number of rows and a checksum over them, whatever their order. Raises as `pipeline.store.ask.rows`."""
    found = {}
    for table, (columns, source) in CONTENT.items():
        (row,) = rows(settings, f"SELECT count() AS n, hex(groupBitXor(cityHash64({columns}))) AS sum FROM {source}")
        found[table] = f"{row['n']:,} rows, {row['sum'] or '0'}"
    return found


def replayed(
    settings: Settings, folder: Path, log: Callable[[str], None], *, first: Mapping[str, str] | None = None
) -> Verdict:
    """Run the log of a drained run again and compare. Takes the broker; the run's own workers may be stopped.

    `folder`: for the capture and the new run's data, deleted by nobody. `first`: `checksums` of the run, taken before its
    store was stopped; None: it is asked now. Raises ListeningError where capture, replay or the new stack fail.
    """
    # What runs the pipeline again is loaded here: nothing above judges by it.
    from deploy.embedded.ports import free_ports
    from deploy.embedded.supervise import running
    from producers.capture.capture import Range, capture
    from producers.capture.replay import replay, replaying

    expected = dict(first or checksums(settings))
    began = time.monotonic()
    log("capturing the source log")
    manifest = capture(settings, folder / "capture", Range())
    new = replaying(settings, f"{settings.run[:34]}-again", settings.partitions).model_copy(
        update={
            "kafka_bootstrap": settings.bootstrap,
            "data_dir": folder / "data",
            "store_port": free_ports(1)[0],
            # Of the first run alone: its server, what it deletes, and when it stops for poison.
            "clickhouse_dsn": None,
            "keep_seconds": None,
            "dlq_ceiling_ratio": 1.0,
            "dlq_ceiling_consecutive": CEILING_EVENTS,
        }
    )
    delete_topics(new)
    try:
        log(f"replaying {manifest.records:,} records into {new.run}")
        copied = replay(folder / "capture", manifest, new, None)
        with running(new, log) as stack:
            found = _settled(new, expected, stack.check)
    finally:
        delete_topics(new)
    figures: dict[str, int | float | str] = {"records": manifest.records, "moved": copied.moved}
    figures |= expected | {"seconds": round(time.monotonic() - began, 1)}
    if copied.moved or copied.without_headers:
        sentence = f"{copied.moved:,} records lie elsewhere in the second log, and {copied.without_headers:,} lost headers"
        return Verdict(NAME, None, f"{sentence}: the logs are not the same", figures)
    return compared(expected, found, figures)


def compared(expected: Mapping[str, str], found: Mapping[str, str], figures: dict[str, int | float | str]) -> Verdict:
    """The verdict on two runs' checksums."""
    wrong = [name for name in expected if found.get(name) != expected[name]]
    told = [
        f"{name}: {expected[name]}, the second run {found.get(name, 'nothing')}"
        if name in wrong
        else f"{name}: {expected[name].split(' rows')[0]} rows equal"
        for name in sorted(expected, key=lambda name: name not in wrong)
    ]
    return Verdict(NAME, not wrong, "; ".join(told), figures)


def _settled(new: Settings, expected: Mapping[str, str], check: Callable[[], None]) -> dict[str, str]:
    """The new run's checksums once they are the expected ones, or change no more. `check` raises where a process is down."""
    deadline = time.monotonic() + SECONDS
    last: dict[str, str] = {}
    since = time.monotonic()
    while True:
        check()
        try:
            found = checksums(new)
        except UnavailableError as error:
            if time.monotonic() > deadline:
                raise ListeningError(f"the second run's store does not answer: {error}") from error
            found = {}
        if found != last:
            last, since = found, time.monotonic()
        over = time.monotonic() > deadline or (found and time.monotonic() - since > QUIET_SECONDS)
        if found == expected or over:
            return found
        time.sleep(POLL_SECONDS)
