"""The fault matrix: every drill, by number, and the negative controls."""

from pipeline.drills.drill import Drill
from pipeline.drills.matrix import brokers, ceiling, clickhouse, controls, disks, events, logs, processes, registry, short

FAULTS: tuple[Drill, ...] = tuple(
    sorted(
        (
            drill
            for part in (processes, brokers, clickhouse, events, ceiling, disks, logs, registry)
            for drill in part.DRILLS
        ),
        key=lambda drill: drill.number,
    )
)
CONTROLS: tuple[Drill, ...] = controls.DRILLS
SHORT: tuple[Drill, ...] = short.DRILLS
"""What `make test` runs of them."""
