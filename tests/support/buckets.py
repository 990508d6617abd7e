"""A real S3 server on loopback: it refuses wrong keys, links that were changed and links that have ended."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypereal.kit.settings import StorageSection

KEY_ID, SECRET = "AKIDTEST", "a-secret-of-tests"
BUCKET = "stored"
START_S_MAX = 20.0


class S3Server:
    """One bucket."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hypereal-s3-"))
        (self.folder / BUCKET).mkdir()
        self._environ = {**os.environ, "NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Serve; what was stored before is still there."""
        command = [sys.executable, "-m", "nanio", "serve", "--data-dir", str(self.folder), "--host", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), "--no-access-log", "--log-level", "error"], env=self._environ
        )
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline and self._process.poll() is None, "the S3 server does not start"
                time.sleep(0.02)

    def stop(self) -> None:
        """Be away."""
        self._process.terminate()
        self._process.wait(START_S_MAX)

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/below?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"

    @property
    def section(self) -> dict[str, str]:
        """Of the settings."""
        return {"url": self.url, "access_key_id": KEY_ID, "secret_access_key": SECRET}

    def files(self) -> list[Path]:
        """Objects, and parts of uploads that are open."""
        hidden = self.folder / ".nanio"
        found = [path for path in (self.folder / BUCKET).rglob("*") if ".nanio-meta" not in path.parts]
        found += (hidden / "multipart").rglob("parts/*") if hidden.exists() else []
        return [path for path in found if path.is_file()]

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One for all; tests look at their own objects."""
    running = S3Server()
    yield running
    running.close()


def section_of(kind: str, s3: S3Server, **changes: object) -> StorageSection:
    """The settings of 'disk' or 's3'."""
    return StorageSection.model_validate((s3.section if kind == "s3" else {}) | changes)
