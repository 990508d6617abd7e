"""An installation driven by its commands alone, as an operator does: real processes, one data folder."""

import http.client
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

START_S_MAX = 60.0
COMMAND_S_MAX = 60.0
KEY = re.compile(r"ck_[0-9a-f]{64}")


class Installation:
    """A data folder, and the commands on it. UID: who runs them, where that is not ourselves."""

    def __init__(self, folder: Path, uid: int | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.uid = uid
        self.first_words = ""
        """What the very first start said."""
        self.address = ""
        """Where the server that runs now is."""
        self._serving: subprocess.Popen[bytes] | None = None
        if uid is not None:
            os.chown(folder, uid, uid)

    def run(
        self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._command(*arguments),
            capture_output=True,
            text=True,
            input=stdin,
            timeout=COMMAND_S_MAX,
            cwd=self.folder,
            env=self._environ() | (environ or {}),
        )

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The one object that a command prints with --json. It must end with CODE and say nothing else."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") == 1
        return dict(json.loads(done.stdout))

    def start(self, until: str, *options: str) -> str:
        """Start the server with OPTIONS; all that it printed, once it printed UNTIL."""
        out, log = self.folder / "out", self.folder / "log"
        self._serving = subprocess.Popen(
            self._command("serve", "--port", "0", *options),
            stdout=out.open("wb"),
            stderr=log.open("ab"),
            cwd=self.folder,
            env=self._environ(),
        )
        serving = self._serving
        wait_until(lambda: until in out.read_text() or serving.poll() is not None, START_S_MAX, f"it says {until}")
        assert serving.poll() is None, log.read_text()
        self.address = re.findall(r"http://[\d.:]+\d", out.read_text())[0]
        return out.read_text()

    @contextmanager
    def working(self) -> Iterator[None]:
        """A `hypereal worker` beside the server, ended as an operator does."""
        with (self.folder / "log").open("ab") as log:
            worker = subprocess.Popen(self._command("worker"), stderr=log, cwd=self.folder, env=self._environ())
        try:
            yield
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(COMMAND_S_MAX) == 0

    def stop(self) -> None:
        """Stop the server as an operator does."""
        if self._serving is not None:
            self._serving.send_signal(signal.SIGTERM)
            assert self._serving.wait(COMMAND_S_MAX) == 0
            self._serving = None

    @property
    def log(self) -> str:
        """What the server wrote on stderr, all starts."""
        return (self.folder / "log").read_text()

    @property
    def first_key(self) -> str:
        """The key that the very first start showed."""
        return KEY.findall(self.first_words)[0]

    @property
    def pid(self) -> int:
        """The process number of the running server."""
        assert self._serving is not None
        return self._serving.pid

    def get(self, path: str) -> str:
        """What the server tells at PATH."""
        url = urlsplit(self.address)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read().decode()
        finally:
            connection.close()

    def status_of(self, key: str) -> int:
        """What a free call with KEY is answered."""
        url = urlsplit(self.address)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
            return connection.getresponse().status
        finally:
            connection.close()

    def _command(self, *arguments: str) -> list[str]:
        own = [sys.executable, "-m", "hypereal", *arguments]
        if self.uid is None:
            return own
        # It keeps the right to read: the interpreter may lie below a folder that is closed to this user.
        reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups", *reads, *own]

    def _environ(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not re.search("^HYPEREAL_|_API_KEY$|_BASE_URL$", name)
        }
        ours = {"HYPEREAL_DATA_DIR": str(self.data_dir), "HOME": str(self.folder)}
        return kept | ours | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def wait_until(holds: Callable[[], object], seconds_max: float, what: str) -> None:
    """Return as soon as HOLDS is true. Fails, naming WHAT, after SECONDS_MAX."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


@pytest.fixture
def empty() -> Iterator[Installation]:
    """An installation where nothing was ever started."""
    with tempfile.TemporaryDirectory(prefix="hy-") as folder:
        yield Installation(Path(folder))


@pytest.fixture
def ordinary() -> Iterator[Installation]:
    """An installation of a user that is not root."""
    uid = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="hy-"))
    yield Installation(folder, uid)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def serving() -> Iterator[Installation]:
    """An installation whose server runs, since its first start."""
    folder = Path(tempfile.mkdtemp(prefix="hy-"))
    installation = Installation(folder)
    try:
        installation.first_words = installation.start("OPENAI_BASE_URL")
        yield installation
    finally:
        installation.stop()
        shutil.rmtree(folder)
