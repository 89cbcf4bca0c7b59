"""Logs as state: append to `plays` with compare-and-append, and restore what a log says."""
