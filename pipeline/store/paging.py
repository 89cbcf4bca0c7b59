"""Long lists, a page at a time. A page begins behind the last row of the one before (keyset), so rows that come meanwhile
shift nothing: no row is shown twice, none is left out."""

from collections.abc import Mapping
from typing import Any

from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows

_INSTANTS = ("played_at", "sent_at", "appended_at")
_EQUAL = {
    "service": "String",
    "platform": "String",
    "country": "String",
    "artist_id": "Int64",
    "user_id": "Int64",
}
_BATCH = "first_offset, last_offset, records, ticks, absent, accepted, duplicates, late, skipped, suspect, invalid"

Row = dict[str, Any]


def duplicates_page(
    settings: Settings,
    equal: Mapping[str, str | int],
    from_ms: int | None,
    to_ms: int | None,
    limit: int,
    after: tuple[int, int] | None = None,
    asked: Asked = rows,
) -> list[Row]:
    """Duplicates by (partition, offset), `limit` at most, those behind `after`; instants as epoch ms.

    `equal`: wanted values of service, platform, country, artist_id, user_id; from and to are of event time, half-open.
    """
    conditions = [f"{name} = {{{name}:{_EQUAL[name]}}}" for name in equal]
    given: dict[str, str | int] = dict(equal) | {"limit": limit}
    for name, comparison, value in (("from", ">=", from_ms), ("to", "<", to_ms)):
        if value is not None:
            conditions.append(f"event_time {comparison} fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')")
            given[name] = value
    if after:
        conditions.append(
            "(source_partition > {partition:UInt16}"
            " OR (source_partition = {partition:UInt16} AND source_offset > {offset:UInt64}))"
        )
        given |= {"partition": after[0], "offset": after[1]}
    times = ", ".join(f"toUnixTimestamp64Milli({name}) AS {name}_ms" for name in _INSTANTS)
    return asked(
        settings,
        f"""
        SELECT toString(event_id) AS id, source_partition, source_offset, first_offset, user_id, artist_id, track_id,
            platform, service, country, {times}
        FROM duplicates FINAL
        WHERE {" AND ".join(conditions) or "1"}
        ORDER BY source_partition, source_offset
        LIMIT {{limit:UInt32}}
        """,
        given,
    )


def batches_page(
    settings: Settings,
    partition: int | None,
    limit: int,
    before: tuple[int, int, int] | None = None,
    asked: Asked = rows,
) -> list[Row]:
    """Batches, newest first, that is by (watermark, partition, first offset) descending; those behind `before`."""
    conditions, given = [], {"limit": limit}
    if partition is not None:
        conditions.append("source_partition = {partition:UInt16}")
        given["partition"] = partition
    if before:
        conditions.append(
            "(watermark, source_partition, first_offset) < "
            "(fromUnixTimestamp64Milli({watermark:Int64}, 'UTC'), {behind:UInt16}, {first:UInt64})"
        )
        given |= {"watermark": before[0], "behind": before[1], "first": before[2]}
    return asked(
        settings,
        f"""
        SELECT source_partition, {_BATCH}, toUnixTimestamp64Milli(watermark) AS watermark_ms
        FROM batches FINAL
        WHERE {" AND ".join(conditions) or "1"}
        ORDER BY watermark DESC, source_partition DESC, first_offset DESC
        LIMIT {{limit:UInt32}}
        """,
        given,
    )
