"""Is a local port free, and is somebody listening on it."""

import errno
import socket

from pipeline.errors import RefusedError


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
    """Ports that are free now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def is_listening(host: str, port: int) -> bool:
    """Whether a connection is accepted there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
