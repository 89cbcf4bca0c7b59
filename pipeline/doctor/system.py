"""What Linux tells of other processes, read-only, from /proc: who listens on a port, who lives, who holds a lock.

Elsewhere, and of other users' processes, the answers are empty: "not known".
"""

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"
_COMMAND_LENGTH = 60


def command_of(pid: int) -> str:
    """The command line of a process, shortened, without the program's folder; empty where there is none."""
    with suppress(OSError):
        program, *arguments = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        text = " ".join([Path(program).name, *arguments]).strip()
        return text if len(text) <= _COMMAND_LENGTH else f"{text[:_COMMAND_LENGTH]}…"
    return ""


def runs(pid: int | None, word: str) -> bool:
    """Whether the process lives and has `word` in its command line: another one may have got the number meanwhile."""
    with suppress(OSError):
        command = (_PROC / str(pid) / "cmdline").read_bytes() if pid is not None else b""
        return bool(command) and word.encode() in command  # a zombie's is empty
    return False


def pid_in(path: Path) -> int | None:
    """The pid that a file holds, or None: no file, none of ours to read, or something else in it."""
    with suppress(OSError, UnicodeDecodeError):
        text = path.read_text()[:20].strip()
        return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 31 else None
    return None


def listener(port: int) -> int | None:
    """The pid of who listens on a local port; None where that can't be seen."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _inodes(table, port)}
    if sockets:
        for folder in _PROC.iterdir():
            if folder.name.isdecimal() and not sockets.isdisjoint(_open_files(folder)):
                return int(folder.name)
    return None


def is_locked(path: Path) -> bool:
    """Whether some process holds a flock on the file. Trying the lock would tell, but could refuse its next owner."""
    with suppress(OSError):
        inode = str(path.stat().st_ino)
        for line in (_PROC / "locks").read_text().splitlines():
            words = line.split()
            if "FLOCK" in words and "->" not in words and any(word.endswith(f":{inode}") for word in words):
                return True
    return False


def _inodes(table: str, port: int) -> list[str]:
    with suppress(OSError):
        rows = [line.split() for line in (_PROC / "net" / table).read_text().splitlines()[1:]]
        return [row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port]
    return []


def _open_files(folder: Path) -> list[str]:
    files = []
    with suppress(OSError):
        for link in (folder / "fd").iterdir():
            with suppress(OSError):
                files.append(str(link.readlink()))
    return files
