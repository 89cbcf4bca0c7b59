"""The generated configuration of supervisord."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from deploy.embedded.programs import Program, log_file
from pipeline.errors import Exit
from pipeline.settings import Settings

START_SECONDS = 5
"""A process that ends sooner is started again with a delay that grows by a second each time."""
START_RETRIES = 20
"""Ends in a row, each within START_SECONDS, after which a process is given up: some four minutes."""
WORKERS = "workers"
STOP_SECONDS = 10
"""From SIGTERM to SIGKILL. Faust, asked to stop while its broker is gone, may never end by itself."""


def supervisor_config(settings: Settings, programs: Sequence[Program], folder: Path, socket: Path) -> str:
    """The configuration file's text; supervisord's own files lie in `folder`.

    No process starts by itself: the broker comes first, its topics next. The others form a group, so that they stop side
    by side and before the broker.
    """
    others = [program.name for program in programs if not program.is_broker]
    sections = [
        _section("unix_http_server", {"file": socket, "chmod": "0700"}),
        _section(
            "supervisord",
            {
                "nodaemon": "true",
                "silent": "true",
                "logfile": folder / "supervisord.log",
                "logfile_maxbytes": 0,
                "loglevel": "info",
                "pidfile": folder / "supervisord.pid",
                "childlogdir": folder,
            },
        ),
        _section(
            "rpcinterface:supervisor", {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
        ),
        *(_program(settings, program) for program in programs),
    ]
    if others:
        sections.append(_section(f"group:{WORKERS}", {"programs": ",".join(others), "priority": 200}))
    return "\n".join(sections)


def group_of(program: Program) -> str:
    """The group that supervisord has a program in: by itself, a program is a group of one."""
    return program.name if program.is_broker else WORKERS


def _program(settings: Settings, program: Program) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": shlex.join(program.command),
            "priority": 100,
            "autostart": "false",
            "autorestart": "true" if program.is_broker else "unexpected",
            "exitcodes": f"{Exit.OK:d},{Exit.STAY_DOWN:d}",
            "startsecs": START_SECONDS,
            "startretries": START_RETRIES,
            "stopsignal": "TERM",
            "stopwaitsecs": STOP_SECONDS,
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": log_file(settings, program.name),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 1,
        },
    )


def _section(name: str, options: dict[str, object]) -> str:
    # supervisord expands %(…)s in every value.
    return f"[{name}]\n" + "".join(f"{key}={str(value).replace('%', '%%')}\n" for key, value in options.items())
