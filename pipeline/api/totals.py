"""Totals by partition: a fold over `batches`, which asks only for what came since it was last asked."""

from dataclasses import dataclass

from pipeline.settings import Settings
from pipeline.store.ask import Asked

COLUMNS = ("records", "ticks", "accepted", "duplicates", "late", "skipped", "suspect", "invalid")


@dataclass(frozen=True, slots=True)
class PartitionTotals:
    """What became of a partition's source offsets below `next`. `watermark`: epoch ms, 0 where there is none."""

    next: int
    watermark: int
    sums: dict[str, int]


class BatchFold:
    """Partition → totals. Batches of a partition are stored in the order of the log, so all there is to come is above
    what has been; one that is stored again says the same again, below."""

    def __init__(self) -> None:
        self.partitions: dict[int, PartitionTotals] = {}

    def read(self, settings: Settings, asked: Asked) -> None:
        """Take in what is new. Raises UnavailableError, and then nothing was taken."""
        sums = ", ".join(f"sum({name}) AS total_{name}" for name in COLUMNS)
        for row in asked(
            settings,
            f"""
            SELECT source_partition AS partition, max(last_offset) + 1 AS next,
                toUnixTimestamp64Milli(max(watermark)) AS newest, {sums}
            FROM batches FINAL WHERE {self._new()} GROUP BY partition
            """,
        ):
            known = self.partitions.get(row["partition"], PartitionTotals(0, 0, dict.fromkeys(COLUMNS, 0)))
            added = {name: known.sums[name] + int(row[f"total_{name}"]) for name in COLUMNS}
            self.partitions[row["partition"]] = PartitionTotals(
                int(row["next"]), max(known.watermark, int(row["newest"])), added
            )

    def _new(self) -> str:
        if not self.partitions:
            return "1 = 1"
        known = ", ".join(str(partition) for partition in self.partitions)
        above = (f"(source_partition = {p} AND first_offset >= {one.next})" for p, one in self.partitions.items())
        return f"source_partition NOT IN ({known}) OR {' OR '.join(above)}"

    def total(self) -> dict[str, int]:
        """Sums over all partitions."""
        return {name: sum(one.sums[name] for one in self.partitions.values()) for name in COLUMNS}

    def watermark(self, partitions: int) -> int:
        """The global watermark: the minimum over the run's partitions, 0 while one was not heard from."""
        known = (self.partitions.get(partition) for partition in range(partitions))
        return min(one.watermark if one else 0 for one in known)
