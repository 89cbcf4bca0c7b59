"""Maintainers only: resolve Kafka and what it needs with mvn, hash the jars, write the lock."""

import hashlib
import json
import re
import subprocess
import tempfile
from pathlib import Path

KAFKA = "4.1.2"
LOG4J = "2.25.3"
"""The log4j that this Kafka resolves to; its slf4j binding isn't among Kafka's dependencies, and without it nothing logs."""
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA}", f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}")
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


def relock(lock: Path) -> None:
    """Write `lock`: a JSON list of {coordinate, sha256}, sorted. Needs mvn and a network; trusts what mvn verified."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pom.xml").write_text(_pom())
        subprocess.run(
            ["mvn", "-q", "-B", f"{PLUGIN}:copy-dependencies", "-DoutputDirectory=jars", f"{PLUGIN}:list",
             "-DoutputFile=list.txt"],
            cwd=folder,
            check=True,
        )  # fmt: skip
        listed = re.findall(
            r"^\s+([\w.-]+):([\w.-]+):jar:([\w.-]+):(?:compile|runtime)", Path(folder, "list.txt").read_text(), re.M
        )
        entries = [
            {
                "coordinate": f"{group}:{artifact}:{version}",
                "sha256": hashlib.sha256(Path(folder, "jars", f"{artifact}-{version}.jar").read_bytes()).hexdigest(),
            }
            for group, artifact, version in sorted(listed)
        ]
    lock.write_text(json.dumps(entries, indent=1) + "\n")


def _pom() -> str:
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *root.split(":")
        )
        for root in ROOTS
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>lock</groupId><artifactId>lock</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
