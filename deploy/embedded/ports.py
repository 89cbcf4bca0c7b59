"""Is a local port free, and is somebody listening on it."""

import errno
import random
import socket
from pathlib import Path

from pipeline.errors import RefusedError

LOWEST, BELOW = 20_000, 32_768
"""Where free ports are looked for: above our own defaults, below those that systems give to outgoing connections."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_MOST_HELD = 64
_held: list[socket.socket] = []
"""Oldest first: what keeps the ports that were told last from being told again, here or in another process."""
_choice = random.Random()  # its own: whoever seeds the shared one in two processes would have them choose alike


def require_free(host: str, port: int, variable: str) -> None:
    """Raise RefusedError, naming the variable that would choose another port, where `port` can't be listened on."""
    with socket.socket() as probe:
        # As servers do it: connections of an earlier process that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise RefusedError(
                    f"Port {port} on {host} is in use: stop what listens there (another `listening up`?), "
                    f"or set {variable} to a free port."
                ) from None
            raise RefusedError(
                f"Port {port} on {host} can't be used ({error.strerror}): set {variable} to another."
            ) from None


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that are free now, all different, and told to nobody else who asks this function meanwhile, in any process.

    The system's own choice (port 0) would be free only until its next one: for another process's outgoing connection, or
    for another who asks. So they lie where it doesn't choose, and each is held, as the UDP port of the same number, until
    64 more were told or this process ends. Raises RefusedError where there is none.
    """
    candidates = list(range(LOWEST, _below()))
    _choice.shuffle(candidates)
    found: list[int] = []
    while len(found) < count:
        if not candidates:
            raise RefusedError(f"No port of {host} between {LOWEST} and {_below()} is free: stop what listens there.")
        if _taken(host, port := candidates.pop()):
            found.append(port)
    return found


def _taken(host: str, port: int) -> bool:
    """Take the port for whoever asked, if nobody has it."""
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind((host, port))
        with socket.socket() as probe:
            probe.bind((host, port))
    except OSError:
        mark.close()
        return False
    _held.append(mark)
    if len(_held) > _MOST_HELD:
        _held.pop(0).close()
    return True


def _below() -> int:
    """Where outgoing connections' ports begin on this machine, if that leaves room."""
    try:
        begins = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return BELOW
    return min(BELOW, begins) if begins > LOWEST + 1_000 else BELOW


def is_listening(host: str, port: int) -> bool:
    """Whether a connection is accepted there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
