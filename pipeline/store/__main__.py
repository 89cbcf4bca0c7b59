"""`python -m pipeline.store`: the store process of a run."""

import os
import sys

# Read when the engine's and polars' libraries are loaded, so before any import of them: freed memory goes back to the
# system at once (a third less resident), and decoding uses the sink's own thread.
os.environ.setdefault("JE_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

if __name__ == "__main__":
    from pipeline.store.serve import main

    sys.exit(main())
