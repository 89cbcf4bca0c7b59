"""How far the store is."""

from dataclasses import dataclass

from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Minimum over the run's partitions, 0 while one was not heard from.

    `classified`: as far as `plays` is stored; `counted`: as far as artist_counts is whole, in every shard.
    """

    classified: int
    counted: int


def watermarks(settings: Settings, asked: Asked = rows) -> Watermarks:
    found = asked(
        settings,
        """
        SELECT 'classified' AS of, source_partition, 0 AS shard, toUnixTimestamp64Milli(max(watermark)) AS watermark
        FROM batches GROUP BY source_partition
        UNION ALL
        SELECT 'counted', source_partition, shard, toUnixTimestamp64Milli(max(watermark))
        FROM count_positions GROUP BY source_partition, shard
        """,
    )
    known = {(row["of"], row["source_partition"], row["shard"]): row["watermark"] for row in found}
    partitions, shards = range(settings.partitions), range(settings.shards)
    return Watermarks(
        classified=min(known.get(("classified", partition, 0), 0) for partition in partitions),
        counted=min(known.get(("counted", partition, shard), 0) for partition in partitions for shard in shards),
    )
