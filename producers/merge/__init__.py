"""Events out of a run's log into files, and sorted files into one."""
