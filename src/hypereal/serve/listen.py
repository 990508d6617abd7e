"""Listening sockets. The supervisor owns them all, so that what is queued survives a restart of who reads it."""

import errno
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

from hypereal.serve.faults import CannotServe

BACKLOG = 1024
PROBE_S_MAX = 1.0
"""The children of a supervisor that was killed close their copies within this."""
PROBE_POLL_S = 0.02


def bind(host: str, port: int, slots: int) -> list[socket.socket]:
    """SLOTS listening sockets on one port (0: any that is free), between which the kernel spreads connections.

    Raises CannotServe. The port is tried without SO_REUSEPORT first: with it a second copy would bind silently.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise CannotServe(f"The host {host} is not an address of this machine ({error.strerror}).") from None
    port = _probe(family, address)
    sockets = []
    for _ in range(slots):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address[0], port, *address[2:]))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        sockets.append(listener)
    return sockets


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at PATH, for this user only (0600). One that a dead process left is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def holder_of(port: int) -> str | None:
    """'process 12 (nginx)' that listens on PORT, as far as /proc tells us."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = [line.split() for line in lines]
        inodes |= {
            f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port
        }
    for fd in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if os.readlink(fd) in inodes:
                process = fd.parent.parent
                return f"process {process.name} ({(process / 'comm').read_text(encoding='utf-8').strip()})"
        except OSError:
            continue
    return None


def url_of(host: str, port: int) -> str:
    """The address to show to people: one that works from this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)
    return f"http://{f'[{shown}]' if re.fullmatch(r'[0-9a-fA-F]*:[0-9a-fA-F:.]*', shown) else shown}:{port}"


def _probe(family: int, address: tuple[Any, ...]) -> int:
    deadline = time.monotonic() + PROBE_S_MAX
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen(1)
                return int(probe.getsockname()[1])
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise CannotServe(f"Cannot listen on {address[0]} port {address[1]}: {error.strerror}.") from None
        if time.monotonic() > deadline:
            who = holder_of(int(address[1])) or "another process"
            raise CannotServe(
                f"Port {address[1]} of {address[0]} is taken by {who}. End it, or choose another with --port."
            )
        time.sleep(PROBE_POLL_S)
