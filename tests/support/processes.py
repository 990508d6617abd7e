"""Real processes in tests: as an ordinary user, watched until a condition holds, always ended."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_S_MAX = 60.0


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Return as soon as HOLDS is true. Fails, naming WHAT, after a minute."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for sockets (pytest's own are deep)."""
    folder = Path(tempfile.mkdtemp(prefix="hy-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(code: str, *arguments: object, as_uid: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, within a minute."""
    return subprocess.run(
        [*_as_user(as_uid), sys.executable, "-c", code, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        cwd="/",
        env=environment(),
    )


def environment() -> dict[str, str]:
    """What our programs need to find us, and nothing of the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HYPEREAL_")}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def ordinary_uid() -> int:
    """Of a user that is not root: our own, else nobody's."""
    return os.geteuid() or pwd.getpwnam("nobody").pw_uid


def _as_user(uid: int | None) -> list[str]:
    """As root, drop to UID; it keeps the right to read, as the interpreter may lie below a folder closed to it."""
    if uid is None or uid == os.geteuid():
        return []
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *reads]
