"""Drills: faults that users can switch on, and the oracles that say whether the pipeline came through them."""
