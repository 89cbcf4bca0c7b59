"""`make pictures`: the README's pictures, of a real run: the page by day and by night, and a terminal.

a run of its own ─► an album release at a speed ─► the page while it happens, twice ─► verify, top and story as they print
"""

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from deploy.embedded.ports import free_ports
from deploy.embedded.supervise import running
from pipeline.demo import copied_event
from pipeline.report import clock
from pipeline.settings import Settings, load
from pipeline.verify.verify import verify
from producers.scenarios.load import load_scenario
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.looked_at import ranked, records
from tests.conftest import settings_env
from tests.end_to_end.processes import wait_for

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
WINDOW = {"width": 1280, "height": 1090}
EVENTS, SPEED, SHARE = 300_000, 180, 0.3
"""The pictures of the page are taken when the lead changes after this share of the events."""
MOST_BYTES = 250_000
WIDTH = 104
SECONDS = 300.0
PAINT_MS = 1500
FONTS = "ui-monospace, Menlo, Consolas, Liberation Mono, monospace"


def main() -> int:
    """Make them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        kafka, controller, store = free_ports(3)
        settings = load(
            run="demo", data_dir=Path(folder), kafka_port=kafka, kafka_controller_port=controller, store_port=store
        )
        with running(settings, print, fresh=True):
            produced = _page(settings)
            verify(settings, timeout=120.0, show_progress=False)
            _terminal(settings, produced)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
        assert path.stat().st_size < MOST_BYTES, f"{path.name} is too large for a README"
    return 0


def _page(settings: Settings) -> dict[str, Any]:
    """The page in both lights at one moment; what was produced meanwhile."""
    told = load_scenario("demo").model_dump(mode="json", exclude_defaults=True) | {"events": EVENTS}
    # Something of everything, so that there is something to see.
    told["poison"] = load_scenario("poison").poison.model_dump(mode="json") | {"share": 0.0005}
    told.setdefault("duplicates", {})["cross_service"] = {"share": 0.01}
    file = settings.run_dir / "pictured.yaml"
    file.write_text(yaml.safe_dump(told))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        page = browser.new_page(viewport=WINDOW)
        page.goto(settings.store_url)
        page.locator("#race-empty").wait_for()
        command = (sys.executable, "-m", "pipeline.cli", "scenario", "run", str(file), "--speed", str(SPEED), "--json")
        with subprocess.Popen(command, env=settings_env(settings), cwd=ROOT, stdout=subprocess.PIPE, text=True) as producing:
            wait_for("some of the events", lambda: records(page) >= SHARE * EVENTS and bool(ranked(page)), SECONDS)
            leader = ranked(page)[0][1]
            wait_for("another leader", lambda: ranked(page)[0][1] != leader, SECONDS)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.wait_for_timeout(PAINT_MS)
                page.screenshot(path=FOLDER / f"page-{scheme}.png")
            output, _ = producing.communicate(timeout=SECONDS)
        browser.close()
    assert producing.returncode == 0, output
    produced: dict[str, Any] = json.loads(output)
    return produced


def _terminal(settings: Settings, produced: dict[str, Any]) -> None:
    """Commands and what they print, as a picture of a terminal."""
    minute = clock(produced["release"] + 600_000).replace(" ", "T")
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for arguments in (["top", "--window", "600", "--at", minute], ["story", copied_event(settings)], ["verify"]):
        console.print(Text.assemble(("$ ", "green"), ("listening " + " ".join(arguments), "bold")), soft_wrap=True)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            env=settings_env(settings) | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        console.print(Text.from_ansi(done.stdout), soft_wrap=True)
        console.print()
    # Without the fonts that it would fetch from elsewhere.
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.S)
    svg = console.export_svg(
        title="listening", code_format=plain.replace("Fira Code, monospace", FONTS), unique_id="listening"
    )
    (FOLDER / "terminal.svg").write_text(svg)


if __name__ == "__main__":
    sys.exit(main())
