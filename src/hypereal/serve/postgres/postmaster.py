"""What a running PostgreSQL leaves in its folder: `postmaster.pid`, and its sockets."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

FILE_BYTES_MAX = 4096


class Postmaster(msgspec.Struct, frozen=True, kw_only=True):
    """`postmaster.pid`, as src/include/utils/pidfile.h of PostgreSQL lays it out."""

    pid: int
    socket_folder: str
    is_ready: bool


def read(cluster: Path) -> Postmaster | None:
    """The postmaster that CLUSTER's file names; None where there is no file, or not yet a whole one."""
    try:
        with (cluster / "postmaster.pid").open(encoding="utf-8") as file:
            lines = file.read(FILE_BYTES_MAX).splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    folder = lines[4] if len(lines) > 4 else ""
    if folder.startswith("/proc/self/"):  # as root it was started with the folder's descriptor: see cluster.py
        with suppress(OSError):
            folder = os.readlink(folder.replace("self", str(pid), 1))
    return Postmaster(pid=pid, socket_folder=folder, is_ready=len(lines) > 7 and lines[7].strip() == "ready")


def stands_in_the_way(pid: int, uid: int) -> bool:
    """Whether a PostgreSQL started by UID would take PID for a living postmaster (a zombie counts, as it does there).

    Reaps it where it is our own child, which an orphan is when we are process 1 of a container.
    """
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}").stat()
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return status.st_uid == uid


def describe(pid: int) -> str:
    """'process 12 (postgres, a zombie)', as far as the system tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return f"process {pid}"
    name, state = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2]
    return f"process {pid} ({name}{', a zombie that its parent has not reaped' if state == 'Z' else ''})"


def socket_in(folder: Path) -> bool:
    """Whether FOLDER has the server's socket."""
    with suppress(OSError):
        return stat.S_ISSOCK((folder / ".s.PGSQL.5432").stat().st_mode)
    return False
