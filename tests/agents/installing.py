"""Clients from their packages, each in a folder of its own that is kept between runs.

The folder is $HYPEREAL_E2E_CACHE, else `.e2e-cache/` in the checkout. No package gets to run a script of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PINS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("clients.toml").read_text("utf-8"))
INSTALL_S_MAX = 300
NPM = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "--fetch-retries=1"]
PIP = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--retries=1"]


class CannotInstall(Exception):
    """This machine cannot have the client; the message says why, in a line."""


@dataclass(frozen=True)
class Install:
    """One client on this machine."""

    entry: Path
    """What its rows start, or load."""
    took_s: float
    """0 where it was there."""


def version_of(name: str) -> str:
    """The pinned version of a client: that of its first package."""
    return _packages(name)[0].replace("==", "@").rpartition("@")[2]


def install(name: str) -> Install:
    """The client NAME, installed unless it is there in the pinned versions. Raises CannotInstall."""
    folder = _cache() / name
    mark = folder / "installed.json"
    packages = _packages(name)
    if mark.exists() and json.loads(mark.read_bytes()) == packages:
        return Install(_entry(name, folder), 0.0)
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if "npm" in PINS[name]:
        npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        _run([node(), "--use-system-ca", npm, "--prefix", folder, "install", *NPM, *packages])
    else:
        _run([sys.executable, "-m", "venv", folder])
        _run([folder / "bin" / "python", "-m", "pip", "install", *PIP, *packages])
    mark.write_text(json.dumps(packages), "utf-8")  # last, so that what was interrupted begins anew
    return Install(_entry(name, folder), time.monotonic() - began)


def node() -> Path:
    """The pinned Node. Raises CannotInstall."""
    return install("node").entry


def _entry(name: str, folder: Path) -> Path:
    found = sorted(folder.glob(PINS[name]["entry"]))
    if not found:
        raise CannotInstall("its packages have nothing for this platform")
    return found[0]  # variants for other C libraries and older processors have longer names


def _packages(name: str) -> list[str]:
    return [*PINS[name].get("npm", []), *PINS[name].get("pypi", [])]


def _cache() -> Path:
    return Path(os.environ.get("HYPEREAL_E2E_CACHE") or ROOT / ".e2e-cache").absolute()


def _run(command: list[str | Path]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S_MAX, cwd="/")
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"not done in {INSTALL_S_MAX} s") from None
    if done.returncode:
        errors = (line for line in done.stderr.splitlines() if line.startswith(("ERROR", "npm error")))
        raise CannotInstall(next(errors, f"exit code {done.returncode}"))
