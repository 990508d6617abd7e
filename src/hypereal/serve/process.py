"""One child process, seen from the supervisor. `child.py` is the other side."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from hypereal.kit import log
from hypereal.serve.child import ProcessSpec
from hypereal.serve.faults import CannotServe

READY_S_MAX = 60.0
KILL_WAIT_S_MAX = 5.0


class ChildProcess:
    """A program of ours that serves LISTENER. Started as often as wanted, one at a time."""

    def __init__(
        self, spec: ProcessSpec, command: tuple[str, ...], listener: socket.socket, environ: Mapping[str, str]
    ) -> None:
        self.spec = spec
        self.is_ready = False
        self._command = command
        self._listener = listener
        self._environ = environ
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's number while it lives."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self, *, failure: str = "") -> None:
        """Start the process and wait until it serves. Raises CannotServe where it ends or takes over a minute."""
        ready, ready_fd = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(self._listener.fileno(), ready_fd),
                start_new_session=True,  # a ^C at the terminal is for the supervisor, which then tells the children
                env={**os.environ, **self._environ},
            )
            os.close(ready_fd)
            spec = msgspec.structs.replace(self.spec, ready_fd=ready_fd, failure=failure)
            assert self._process.stdin is not None
            self._process.stdin.write(msgspec.json.encode(spec, enc_hook=str) + b"\n")
            await self._wait_ready(ready)
        finally:
            os.close(ready)
        self.is_ready = True

    async def wait(self) -> int:
        """The code that the process ended with; negative: the signal."""
        assert self._process is not None, "start() comes first"
        code = await self._process.wait()
        self.is_ready = False
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process and it can take it yet."""
        if self.pid is not None and (self.is_ready or number is not signal.SIGHUP):
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def end(self, grace_s: float) -> None:
        """Ask the process to drain, and after GRACE_S seconds kill it."""
        if self._process is None:
            return
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            log.get("supervisor").warning("a process did not drain in time", name=self.spec.name)
            self.send(signal.SIGKILL)
            await asyncio.wait_for(self._process.wait(), KILL_WAIT_S_MAX)

    async def _wait_ready(self, ready: int) -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bytes] = loop.create_future()

        def readable() -> None:
            loop.remove_reader(ready)
            told.set_result(os.read(ready, 1))

        loop.add_reader(ready, readable)
        try:
            is_ready = await asyncio.wait_for(told, READY_S_MAX)
        except TimeoutError:
            self.send(signal.SIGKILL)
            raise CannotServe(f"{self.spec.name} was not ready after {READY_S_MAX:.0f} s. See its log above.") from None
        finally:
            loop.remove_reader(ready)
        if not is_ready:
            code = await self.wait()
            raise CannotServe(f"{self.spec.name} ended with code {code} before it was ready. See its log above.")
