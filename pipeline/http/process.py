"""What every process that serves has in common: a socket bound before anything else is begun, and logs on stderr."""

import logging
import socket
import sys

import structlog

from pipeline.errors import RefusedError


def bound(what: str, host: str, port: int, remedy: str) -> socket.socket:
    """A socket to serve on. Raises RefusedError where it can't be had, ending with the `remedy`."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise RefusedError(
            f"{what} can't listen at {host}:{port} ({error.strerror}): end what listens there, or {remedy}"
        ) from error
    return listener


def log_to_stderr() -> None:
    """Our own lines by structlog, others' from warnings on."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
