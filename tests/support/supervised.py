"""A real supervisor as a process, over small children that answer each connection with a line about themselves."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import processes

from hypereal.serve import locks

CHILD = """
import asyncio, json, os, signal, socket, sys
from pathlib import Path
from hypereal.serve import child
spec = child.read_spec()
told = Path(spec.run_dir) / f"{spec.name}.told"
async def answer(_, writer):
    about = {"name": spec.name, "pid": os.getpid(), "malloc": os.environ.get("MALLOC_MMAP_THRESHOLD_")}
    about |= {"database_url": spec.database_url, "secret": spec.secret}
    writer.write(json.dumps(about).encode() + b"\\n")
    await writer.drain()
    writer.close()
async def main():
    if (Path(spec.run_dir) / f"{spec.name}.broken").exists():
        sys.exit(3)
    loop, stop, terms = asyncio.get_running_loop(), asyncio.Event(), []
    def term():
        terms.append(1)
        told.write_text(f"term {len(terms)}")
        if len(terms) > 1 or not (Path(spec.run_dir) / "slow").exists():
            stop.set()
    loop.add_signal_handler(signal.SIGTERM, term)
    loop.add_signal_handler(signal.SIGHUP, told.write_text, "hup")
    child.on_supervisor_gone(loop, stop.set)
    server = await asyncio.start_server(answer, sock=socket.socket(fileno=spec.listen_fd))
    child.announce_ready(spec)
    await stop.wait()
asyncio.run(main())
"""
SUPERVISOR = """
import json, sys
from hypereal.kit import log, settings
from hypereal.serve import restarts, supervisor
from hypereal.serve.faults import CannotServe
overrides, child = json.loads(sys.argv[1]), ("-c", sys.argv[2])
restarts.DELAY_S_FIRST = 0.05
log.configure(process="supervisor")
async def migrate(url):
    print("migrate", flush=True)
async def close_dead(url, instance_id, alive):
    print("close_dead", json.dumps(sorted(alive)), flush=True)
commands = supervisor.Commands(data=child, control=child)
wiring = supervisor.Wiring(
    migrate=migrate, close_dead=close_dead, on_ready=lambda url: print("ready", url, flush=True), commands=commands
)
try:
    sys.exit(supervisor.serve(settings.load(None, overrides), None, overrides, wiring))
except CannotServe as fault:
    sys.exit(str(fault))
"""


class Supervised:
    """A supervisor on DATA_DIR. `wait_ready` comes first; `end` always."""

    def __init__(
        self, data_dir: Path, *, port: int = 0, workers: int = 1, url: str | None = None, secret: str = "0" * 32
    ) -> None:
        self.data_dir = data_dir
        server: dict[str, Any] = {"data_dir": str(data_dir), "port": port, "workers": workers, "drain_s": 10}
        if url and secret:
            server["secret"] = secret
        overrides = {"server": server, "database": {"url": url} if url else {}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, json.dumps(overrides), CHILD],
            env=processes.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, word: str) -> str:
        """The rest of the next line of output that begins with WORD."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise AssertionError(f"ended before it said {word}: {self.process.communicate()[1]}")

    def wait_ready(self) -> "Supervised":
        self.port = int(self.wait_for("ready").rpartition(":")[2])
        return self

    @property
    def status(self) -> dict[str, Any]:
        return dict(json.loads((self.data_dir / "run" / "supervisor.json").read_bytes()))

    @property
    def children(self) -> dict[str, int]:
        return dict(self.status["children"])

    def ask(self) -> dict[str, Any]:
        """What the data process that gets our connection says of itself."""
        return _line(socket.create_connection(("127.0.0.1", self.port), timeout=processes.WAIT_S_MAX))

    def ask_control(self) -> dict[str, Any]:
        """What the control process says of itself."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(processes.WAIT_S_MAX)
        connection.connect(str(self.data_dir / "run" / "control.sock"))
        return _line(connection)

    def told(self, child: str) -> str:
        """The last signal that CHILD was told."""
        path = self.data_dir / "run" / f"{child}.told"
        return path.read_text() if path.exists() else ""

    def end(self) -> tuple[int, str]:
        """Stop it as an operator does. Its code and what it wrote on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, complaint = self.process.communicate(timeout=processes.WAIT_S_MAX)
        return self.process.returncode, complaint

    def end_by_itself(self) -> tuple[int, str]:
        """Wait until it ends. Its code and what it wrote on stderr."""
        _, complaint = self.process.communicate(timeout=processes.WAIT_S_MAX)
        return self.process.returncode, complaint

    def kill(self) -> None:
        """Kill it, and see that its children leave."""
        children = self.children
        self.process.kill()
        self.process.communicate()
        processes.wait_until(lambda: not any(lives(pid) for pid in children.values()), "the children leave")

    def postgres_runs(self) -> bool:
        return not locks.is_free(self.data_dir / "lock")


def lives(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _line(connection: socket.socket) -> dict[str, Any]:
    with connection, connection.makefile() as file:
        return dict(json.loads(file.readline()))
