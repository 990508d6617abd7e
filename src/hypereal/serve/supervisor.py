"""The process that `hypereal serve` is: it owns the data folder, PostgreSQL, the listeners and the children.

Read `child.py` and `locks.py` first. Data processes get a listener each on one port; the control process and the local
model get unix sockets. Nothing here serves a request.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

import hypereal
from hypereal.kit import db, log
from hypereal.kit.settings import Settings
from hypereal.serve import folders, listen, locks, tracing
from hypereal.serve.child import ProcessSpec
from hypereal.serve.faults import CannotServe
from hypereal.serve.on_demand import OnDemand
from hypereal.serve.postgres import EmbeddedPostgres, check_external
from hypereal.serve.process import ChildProcess
from hypereal.serve.restarts import Restarts

DRAIN_MARGIN_S = 5.0
AT_ONCE_S = 2.0
CLOSE_TRIES_MAX = 120
CLOSE_RETRY_S = 5.0
# Bodies of 200 KB sit at glibc's threshold for mmap: without this, each costs a map, page faults and an unmap.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "67108864", "MALLOC_TRIM_THRESHOLD_": "268435456"}
# Each thread of the engine would get 64 MB of addresses of its own, which count against its bound.
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """What follows the interpreter on a child's command line."""

    data: tuple[str, ...] = ("-O", "-m", "hypereal.serve.data")
    """Without asserts: they tell the type checker, 45 bytecodes a call."""
    control: tuple[str, ...] = ("-m", "hypereal.serve.control")
    local: tuple[str, ...] = ("-m", "hypereal.serve.local_model")


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor needs of the rest of the product, and tells to it."""

    migrate: Callable[[str], Awaitable[None]]
    """(database url): bring the database up to this version. Raises CannotServe."""
    close_dead: Callable[[str, str, frozenset[int]], Awaitable[None]]
    """(database url, instance id, numbers of living data processes): give back what the dead of this instance held."""
    on_ready: Callable[[str], None]
    """(address): all processes serve."""
    commands: Commands = Commands()
    runs_jobs: bool = True
    """False where `hypereal worker` runs them elsewhere."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`run/supervisor.json`, for `hypereal status`. It outlives a supervisor that was killed: look at `serve.lock`."""

    pid: int
    started_at: float
    """Unix seconds."""
    host: str
    port: int
    version: str
    run_dir: str
    children: dict[str, int]
    """Name -> process number, of those that live."""


def serve(settings: Settings, config: Path | None, overrides: dict[str, dict[str, Any]], wiring: Wiring) -> int:
    """Run until a signal ends it. The exit code. Raises CannotServe where it cannot start.

    CONFIG and OVERRIDES are what SETTINGS were loaded from: children load them again.
    """
    return asyncio.run(Supervisor(settings, config, overrides, wiring).run())


class Supervisor:
    """One run of the server."""

    def __init__(
        self, settings: Settings, config: Path | None, overrides: dict[str, dict[str, Any]], wiring: Wiring
    ) -> None:
        self._settings = settings
        self._config = config
        self._overrides = overrides
        self._wiring = wiring
        self._data_dir = settings.server.data_dir
        self._started_at = time.time()
        self._port = settings.server.port
        self._url = settings.database.url or ""
        self._postgres: EmbeddedPostgres | None = None
        self._listeners: list[socket.socket] = []
        self._data: list[ChildProcess] = []
        self._others: list[ChildProcess] = []
        """The control process, then the local model."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._postgres_tasks: set[asyncio.Task[None]] = set()
        """Apart, because PostgreSQL is kept running while the children drain."""
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Start everything, watch it until told to stop, drain and stop. The exit code. Raises CannotServe."""
        folders.prepare(self._data_dir)
        folders.prepare(self._settings.run_dir)
        lock = self._lock()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            starting = asyncio.create_task(self._start())
            await self._unless_stopped(starting)
            await self._stop.wait()
        finally:
            await self._end()
            os.close(lock)
        return self._exit_code

    def _lock(self) -> int:
        path = self._data_dir / "serve.lock"
        lock = locks.take(path)
        if lock is None:
            holder = locks.holder_of(path)
            who = f"process {holder.pid} (hypereal {holder.purpose})" if holder else "another hypereal"
            raise CannotServe(f"{who} uses the data folder {self._data_dir}. Stop it, or choose another --data-dir.")
        locks.sign(lock, locks.Holder(pid=os.getpid(), purpose="serve"))
        return lock

    async def _start(self) -> None:
        folders.check_secret(self._settings)
        secret = self._settings.server.secret or folders.secret(self._data_dir)
        await self._start_database()
        instance = folders.instance_id(self._data_dir)
        await self._wiring.close_dead(self._url, instance, frozenset())
        await self._bind(instance, secret)
        control, local = self._others
        await asyncio.gather(*(child.start() for child in (*self._data, control)))
        for child in (*self._data, control):
            self._in_background(self._watch(child))
        self._in_background(OnDemand(local).run())
        self._write_status()
        self._wiring.on_ready(listen.url_of(self._settings.server.host, self._port))

    async def _start_database(self) -> None:
        if self._url:
            await check_external(self._url)
        else:
            self._postgres = EmbeddedPostgres(self._data_dir)
            self._url = await self._postgres.start()
            self._postgres_tasks = {asyncio.create_task(self._postgres.keep_running())}
        await self._wiring.migrate(self._url)

    async def _bind(self, instance: str, secret: str) -> None:
        server, commands = self._settings.server, self._wiring.commands
        self._listeners = await asyncio.to_thread(listen.bind, server.host, server.port, server.workers)
        self._port = int(self._listeners[0].getsockname()[1])
        run_dir = folders.socket_folder(self._settings.run_dir)
        control = listen.bind_unix(run_dir / "control.sock")
        local = listen.bind_unix(run_dir / "local.sock")
        spec = ProcessSpec(
            name="control",
            listen_fd=control.fileno(),
            ready_fd=-1,
            database_url=self._url,
            instance_id=instance,
            boot_id=_boot_id(),
            log_level=server.log_level,
            log_format=server.log_format,
            secret=secret,
            runs_jobs=self._wiring.runs_jobs,
            config=str(self._config) if self._config else None,
            overrides=self._overrides,
            run_dir=str(run_dir),
            control_socket=str(run_dir / "control.sock"),
            traces_socket=str(run_dir / "traces.sock") if tracing.is_wanted(self._settings) else "",
            bodies_socket=str(run_dir / "bodies.sock") if self._settings.log.bodies_mb_per_day else "",
            local_model_socket=str(run_dir / "local.sock"),
        )
        self._data = [
            ChildProcess(
                msgspec.structs.replace(spec, name=f"data-{slot}", slot=slot, listen_fd=listener.fileno()),
                commands.data,
                listener,
                MALLOC,
            )
            for slot, listener in enumerate(self._listeners)
        ]
        local_spec = msgspec.structs.replace(spec, name="local", listen_fd=local.fileno(), database_url="", secret="")
        self._others = [
            ChildProcess(spec, commands.control, control, {}),
            ChildProcess(local_spec, commands.local, local, FEW_ARENAS),
        ]
        self._listeners += [control, local]

    async def _watch(self, child: ChildProcess) -> None:
        """Start CHILD again after each crash. When it crashed too often, everything stops."""
        restarts = Restarts()
        name = child.spec.name
        code = await child.wait()
        while (delay_s := restarts.crashed()) is not None:
            log.get("supervisor").error("a process ended", name=name, code=code, delay_s=delay_s)
            if child in self._data:
                self._in_background(self._close_dead())
            await asyncio.sleep(delay_s)
            try:
                await child.start()
                self._write_status()
                code = await child.wait()
            except CannotServe as error:
                log.get("supervisor").error("a process does not start", name=name, error=str(error))
        log.get("supervisor").error("a process crashed too often; everything is stopped", name=name)
        self._exit_code = 1
        self._stop.set()

    async def _close_dead(self) -> None:
        for _ in range(CLOSE_TRIES_MAX):
            alive = frozenset(child.pid for child in self._data if child.pid is not None)
            try:
                return await self._wiring.close_dead(self._url, self._data[0].spec.instance_id, alive)
            except db.UNREACHABLE as error:
                log.get("supervisor").warning("a dead process is not closed yet", error=str(error))
                await asyncio.sleep(CLOSE_RETRY_S)

    async def _end(self) -> None:
        self._stop.set()
        await _cancel(self._tasks)
        await self._unless_at_once(self._drain())
        await _end_all(self._data + self._others, AT_ONCE_S)
        for listener in self._listeners:
            listener.close()
        if self._postgres is not None:
            await _cancel(self._postgres_tasks)
            await self._postgres.stop()
        with suppress(OSError):
            (self._settings.run_dir / "supervisor.json").unlink()

    async def _drain(self) -> None:
        """Data processes first: what they still serve needs the others."""
        await _end_all(self._data, self._settings.server.drain_s + DRAIN_MARGIN_S)
        await _end_all(self._others, self._settings.server.drain_s + DRAIN_MARGIN_S)

    async def _unless_stopped(self, work: asyncio.Task[None]) -> None:
        """Wait for WORK to end or for the word to stop. Raises what WORK raises."""
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if work.done():
            work.result()
            return
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _unless_at_once(self, work: Coroutine[Any, Any, None]) -> None:
        task, at_once = asyncio.create_task(work), asyncio.create_task(self._at_once.wait())
        await asyncio.wait({task, at_once}, return_when=asyncio.FIRST_COMPLETED)
        for ending in (task, at_once):
            ending.cancel()
        await asyncio.gather(task, at_once, return_exceptions=True)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    def _reload(self) -> None:
        for child in (*self._data, *self._others[:1]):
            child.send(signal.SIGHUP)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _write_status(self) -> None:
        status = Status(
            pid=os.getpid(),
            started_at=self._started_at,
            host=self._settings.server.host,
            port=self._port,
            version=hypereal.__version__,
            run_dir=self._data[0].spec.run_dir,
            children={child.spec.name: child.pid for child in (*self._data, *self._others) if child.pid is not None},
        )
        folders.write_whole(self._settings.run_dir / "supervisor.json", msgspec.json.encode(status))


def read_status(settings: Settings) -> Status | None:
    """What the running supervisor wrote last; None where none runs."""
    if locks.is_free(settings.server.data_dir / "serve.lock"):
        return None
    try:
        return msgspec.json.decode((settings.run_dir / "supervisor.json").read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError):
        return None


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end_all(children: list[ChildProcess], grace_s: float) -> None:
    await asyncio.gather(*(child.end(grace_s) for child in children if child.pid is not None))


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if sys.platform.startswith("linux") else ""
