"""File locks of the data folder. They belong to an open file, so a dead holder's lock is free at once.

`serve.lock` (close-on-exec): a supervisor or a command owns the folder. `lock` (inherited by the postmaster and its
backends): a PostgreSQL runs here, in whatever container, whether or not its supervisor lives.
"""

import fcntl
import os
from pathlib import Path

import msgspec

HOLDER_BYTES_MAX = 4096


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who took a lock: its process and what that does, `serve` or the name of a command."""

    pid: int
    purpose: str


def take(path: Path) -> int | None:
    """The descriptor that holds PATH's lock, or None where another process has it. Close it to give the lock back."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_free(path: Path) -> bool:
    """Whether nobody holds PATH's lock now."""
    fd = take(path)
    if fd is None:
        return False
    os.close(fd)
    return True


def sign(fd: int, holder: Holder) -> None:
    """Write into the locked file who holds it, for whoever is refused."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, msgspec.json.encode(holder), 0)


def holder_of(path: Path) -> Holder | None:
    """Who signed PATH last; None where nobody did. Means something only while the lock is taken."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(HOLDER_BYTES_MAX), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
