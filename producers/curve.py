"""The load curve of a scenario: what would be sent in each minute, counted from the script itself."""

from dataclasses import dataclass

import numpy as np

from pipeline.rules import Rules
from producers.columns import Array, height
from producers.kinds import Kind
from producers.world import World

MINUTE_MS = 60_000


@dataclass(frozen=True, eq=False)
class Curve:
    """Records by kind and minute, from the start (epoch ms) on."""

    start: int
    kinds: Array
    """int64[kinds, minutes]"""
    hit: Array
    """int64[minutes]: plays of the artist whom the scenario is about."""

    @property
    def total(self) -> Array:
        """int64[minutes]: all records."""
        total: Array = self.kinds.sum(axis=0)
        return total

    def count(self, kind: Kind) -> int:
        return int(self.kinds[kind].sum())


def load_curve(world: World, rules: Rules, start: int) -> Curve:
    """Counted by the minute in which each record leaves."""
    minutes = -(-world.scenario.length_ms // MINUTE_MS)
    kinds, hit = np.zeros((len(Kind), minutes), np.int64), np.zeros(minutes, np.int64)
    artist = world.hit_artist[0] if world.hit_artist else 0
    for records in world.records(rules, start):
        if not height(records):
            continue
        minute = (records["true_sent_at"] - start) // MINUTE_MS
        places = records["kind"].astype(np.int64) * minutes + minute
        kinds += np.bincount(places, minlength=kinds.size).reshape(kinds.shape)
        hit += np.bincount(minute[(records["kind"] == Kind.PLAY) & (records["artist_id"] == artist)], minlength=minutes)
    return Curve(start, kinds, hit)
