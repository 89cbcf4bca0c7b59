"""Panes and windows: half-open, epoch-aligned, two integer divisions.

A pane is [start, start + pane_ms). A window is a whole number of panes, ends at a pane's end, and slides by one pane.
"""


def pane_of(time: int, pane_ms: int) -> int:
    """Start of the pane that holds `time`."""
    return time // pane_ms * pane_ms


def newest_window_end(watermark: int, pane_ms: int) -> int:
    """End of the newest window: of the pane that holds the watermark."""
    return pane_of(watermark, pane_ms) + pane_ms


def last_final_end(watermark: int, grace_ms: int, pane_ms: int) -> int:
    """End of the last window that is final: no event before it can still be accepted anywhere."""
    return pane_of(watermark - grace_ms, pane_ms)
