"""Panes, windows and counts (pure). Times are integer epoch milliseconds, intervals half-open."""
