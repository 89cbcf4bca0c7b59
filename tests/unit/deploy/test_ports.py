"""Free ports: nobody is told one that somebody else was told, who has not used it yet."""

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded import ports
from deploy.embedded.ports import free_ports
from pipeline.errors import RefusedError

ASKING = """
import sys
from deploy.embedded.ports import free_ports
print(*free_ports(40), flush=True)
sys.stdin.read()
"""


def test_processes_that_ask_at_the_same_time_are_told_different_ports_even_if_they_would_choose_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeded = "from deploy.embedded import ports\nimport random\nports._choice = random.Random(7)\n" + ASKING
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", seeded],
            cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        told = [[int(port) for port in process.stdout.readline().split()] for process in asking if process.stdout]
        monkeypatch.setattr(ports, "_choice", random.Random(7))
        told.append(free_ports(40))
    finally:
        for process in asking:
            process.communicate()
    every = [port for some in told for port in some]
    assert len(set(every)) == len(every) == 120


def test_a_port_that_was_told_can_be_listened_on_and_a_taken_one_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(ports, "LOWEST", port)
    monkeypatch.setattr(ports, "_below", lambda: port + 1)
    with socket.create_server(("127.0.0.1", port)):
        ports._held.pop().close()  # as if it had been told long ago; before that, others could be told it
        with pytest.raises(RefusedError, match=f"between {port} and {port + 1}"):
            free_ports(1)


def test_they_lie_where_no_system_puts_outgoing_connections_and_they_cost_few_descriptors() -> None:
    assert all(ports.LOWEST <= port < ports._below() <= 32_768 for port in free_ports(200))
    assert len(ports._held) == 64
