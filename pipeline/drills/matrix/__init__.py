"""The fault matrix: every drill, by number, and the negative controls."""

from pipeline.drills.drill import Drill
from pipeline.drills.matrix import brokers, ceiling, clickhouse, controls, disks, events, logs, processes, registry, short

_PARTS = (processes, brokers, clickhouse, events, ceiling, disks, logs, registry)
FAULTS: tuple[Drill, ...] = tuple(
    sorted((drill for part in _PARTS for drill in part.DRILLS), key=lambda drill: drill.number)
)
CONTROLS: tuple[Drill, ...] = controls.DRILLS
SHORT: tuple[Drill, ...] = short.DRILLS
"""What `make test` runs of them."""
