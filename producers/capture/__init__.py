"""A run's source log as files, and those files as a new run: in its own time, or as fast as it goes.

playback-events of R ─► read ─► a Parquet file a partition, and a manifest
a file a partition ─► merge by broker time ─► when due ─► publish where it lay ─► playback-events of NEW
"""
