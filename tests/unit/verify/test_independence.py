"""The oracle shares no code with what it judges."""

import subprocess
import sys


def test_verify_loads_none_of_the_stages() -> None:
    stages = ("codec", "dedup", "windows", "topk", "log", "workers", "faustlib")
    code = (
        "import sys, pipeline.verify.verify; "
        f"print([name for name in sys.modules if name.startswith({tuple(f'pipeline.{stage}' for stage in stages)!r})])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
