"""Small worlds: rules under which a minute holds everything, the horizon's end included."""

from pathlib import Path

from pipeline.settings import Settings, load


def world(folder: Path, *, near: str = "drop", append_time: bool = False, shards: int = 2) -> Settings:
    return load(
        data_dir=folder,
        partitions=2,
        shards=shards,
        pane_seconds=10,
        window_seconds=20,
        grace_seconds=10,
        horizon_seconds=20,
        max_ahead_seconds=5,
        slot_seconds=5,
        top_k=3,
        near_duplicates=near,
        near_tolerance_seconds=4,
        append_time=append_time,
    )
