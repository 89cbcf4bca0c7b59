"""Faust workers: thin shells round the stages."""

import os

# Read when polars is loaded, so before any import of it: threads for small frames would only wait for each other.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
