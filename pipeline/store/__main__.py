"""`python -m pipeline.store`: the store process of a run."""

import os
import sys

# Read when the libraries of the engine, polars and pyarrow are loaded, so before any import of them: freed memory goes back
# to the system, in each of their allocators, and decoding uses the sink's own thread. At once, but for the engine: there the
# next insert wants the same pages again, and half its time would go into getting them.
os.environ.setdefault("JE_MALLOC_CONF", "dirty_decay_ms:500,muzzy_decay_ms:0")
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

if __name__ == "__main__":
    from pipeline.store.serve import main

    sys.exit(main())
