"""A run's source log, taken to another number of partitions by replaying it into a new run.

playback-events of OLD ─► read ─► merge by broker time ─► route by murmur2 ─► publish ─► playback-events of NEW
                                        └─► tick minimum ────────────────────┘ └─► places ─► ledger of NEW
"""
