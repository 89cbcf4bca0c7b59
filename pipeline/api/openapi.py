"""docs/openapi/store.json: what the store answers, in git. `python -m pipeline.api.openapi` writes it anew."""

import json
import tempfile
from pathlib import Path

from pipeline.settings import load
from pipeline.store.app import make_app
from pipeline.store.client import Pool
from pipeline.store.sinks import Sinks

FILE = Path(__file__).parents[2] / "docs" / "openapi" / "store.json"


def text() -> str:
    """The document as the file holds it. No engine is started: the app is made as for a server that isn't there yet."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load(data_dir=Path(folder), clickhouse_dsn="clickhouse://127.0.0.1:1")
        pool = Pool(settings)
        return json.dumps(make_app(settings, pool, Sinks(settings, pool)).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
