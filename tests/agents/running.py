"""The words of this folder, and one run of a client: a clean environment, a bounded time, nothing left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.agents.installing import PINS, Install

from hypereal.kit.dialects import Dialect

RUN_S_MAX = 60
CLOSED = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Run:
    """One run of one client, about to begin."""

    install: Install
    base: str
    """The base URL that the client is given."""
    model: str
    key: str
    prompt: str
    home: Path
    """Empty, and the client's HOME."""
    folder: Path
    """Empty, and where the client works."""


@dataclass(frozen=True)
class Command:
    """How a client is started."""

    argv: list[str | Path]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the table: a client, set up in one way."""

    client: str
    """As in clients.toml."""
    how: str
    """What sets this row apart."""
    base: str
    """What is appended to the gateway's origin."""
    model: str
    dialect: Dialect
    """That the client speaks."""
    start: Callable[[Run], Command]
    upstream: Dialect | None = None
    """That the upstream must be asked in, where it is another: the gateway translates."""

    @property
    def asked_in(self) -> Dialect:
        return self.upstream or self.dialect

    @property
    def title(self) -> str:
        return str(PINS[self.client]["title"])

    @property
    def is_bounded(self) -> bool:
        """Whether it belongs to the set that runs on every change."""
        return bool(PINS[self.client]["is_bounded"])

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.client}-{self.how}-{self.base}-{self.model}".replace(" ", "_").replace("/", ":")


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    code: int | None
    """None: it was cut off."""
    output: str
    took_s: float


def carry_out(command: Command, run: Run, run_s_max: float = RUN_S_MAX) -> Outcome:
    """Run COMMAND to its end or for RUN_S_MAX (60 s); whatever it started in its process group is ended."""
    output = run.home.with_suffix(".output")
    began = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=run.folder,
            env=_environ(run.home) | command.environ,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(run_s_max)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(process)
    return Outcome(code, output.read_text("utf-8", "replace"), time.monotonic() - began)


def _environ(home: Path) -> dict[str, str]:
    """Nothing of ours, and no way but to this machine."""
    proxies = {name: CLOSED for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    passed = {name: "127.0.0.1,localhost" for name in ("NO_PROXY", "no_proxy")}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        **proxies,
        **passed,
    }


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
