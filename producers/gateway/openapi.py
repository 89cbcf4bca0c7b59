"""docs/openapi/gateway.json: what the gateway answers, in git. `python -m producers.gateway.openapi` writes it anew."""

import json
import tempfile
from pathlib import Path

from pipeline.settings import load
from producers.gateway.app import make_app
from producers.gateway.parts import parts_of

FILE = Path(__file__).parents[2] / "docs" / "openapi" / "gateway.json"


def text() -> str:
    """The document as the file holds it. The app is made, not started."""
    with tempfile.TemporaryDirectory() as folder:
        parts = parts_of(load(data_dir=Path(folder)))
        try:
            return json.dumps(make_app(parts).openapi(), indent=1, ensure_ascii=False) + "\n"
        finally:
            parts.close()


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
