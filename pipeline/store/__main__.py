"""`python -m pipeline.store`: the store process of a run."""

import os
import sys

# Read when the libraries of the engine, polars and pyarrow are loaded, so before any import of them: freed memory goes back
# to the system at once, in each of their allocators, and decoding uses the sink's own thread.
AT_ONCE = "dirty_decay_ms:0,muzzy_decay_ms:0"
os.environ.setdefault("JE_MALLOC_CONF", AT_ONCE)
os.environ.setdefault("_RJEM_MALLOC_CONF", AT_ONCE)
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

if __name__ == "__main__":
    from pipeline.store.serve import main

    sys.exit(main())
