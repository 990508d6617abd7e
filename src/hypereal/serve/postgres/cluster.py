"""The embedded PostgreSQL: made, started or attached to, kept running, stopped.

Read `../locks.py` first. The postmaster inherits the lock `lock`: while that is taken, a PostgreSQL runs here; one that
outlived its supervisor is attached to. As root on Linux it gets its folders as open descriptors (`/proc/self/fd/N`), so
the data may lie below folders that its user cannot enter, such as /root, and nothing is ever chmod-ed.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg

from hypereal.kit import db, log
from hypereal.serve import folders, locks
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import binaries, postmaster
from hypereal.serve.restarts import Restarts

STALE_S_MAX = 15.0
START_S_MAX = 300.0
"""Recovery after a crash of the machine reads back all that was not checkpointed."""
STOP_S_MAX = 30.0
POLL_S = 0.01
LOST_POLL_S = 0.25
LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_LINES_SHOWN = 15
USER = "hypereal"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "log_min_messages": "log",  # an ERROR quotes rows, and those are our callers'
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
log_ = log.get("postgres")


def read_version(cluster: Path) -> str:
    """The major version that made CLUSTER ('18')."""
    return (cluster / "PG_VERSION").read_text(encoding="ascii").strip()


class EmbeddedPostgres:
    """The PostgreSQL of DATA_DIR. `start` or `attach` first; then `url` is where it answers."""

    def __init__(
        self,
        data_dir: Path,
        *,
        machine: folders.Machine | None = None,
        programs: binaries.Programs | None = None,
        restarts: Restarts | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = ""
        self.pid = 0
        self._data_dir = data_dir
        self._cluster = data_dir / "postgres"
        self._lock_path = data_dir / "lock"
        self._log_path = data_dir / "postgres.log"
        self._machine = machine or folders.Machine()
        self._programs = programs
        self._restarts = restarts or Restarts()
        self._sleep = sleep
        self._process: Process | None = None
        self._is_stopping = False

    async def start(self) -> str:
        """Start PostgreSQL, or attach to the one that already runs here. Its URL. Raises CannotServe.

        The caller holds `serve.lock`.
        """
        folders.prepare(self._data_dir)
        folders.check_disk(self._data_dir, self._machine)
        programs = self._programs or binaries.locate(self._data_dir, binaries.account_for(self._cluster))
        deadline = time.monotonic() + STALE_S_MAX
        while True:
            lock = locks.take(self._lock_path)
            if lock is not None:
                try:
                    await self._launch(programs, lock)
                finally:
                    os.close(lock)
                return self.url
            if await self._attached(programs.version):
                return self.url
            if time.monotonic() > deadline:
                raise CannotServe(self._unanswered())
            await asyncio.sleep(LOST_POLL_S)

    async def attach(self) -> str:
        """Use the PostgreSQL that runs here already. Its URL. Raises CannotServe where none answers."""
        if locks.is_free(self._lock_path) or not await self._attached(None):
            raise CannotServe(self._unanswered())
        return self.url

    async def wait_ended(self) -> None:
        """Return once PostgreSQL and all its processes are gone."""
        if self._process is not None:
            await self._process.wait()
        while not locks.is_free(self._lock_path):  # noqa: ASYNC110 - another process gives it up: there is no event
            await asyncio.sleep(LOST_POLL_S)

    async def keep_running(self) -> None:
        """Start PostgreSQL again after each crash. Returns when it was stopped, or crashed too often (logged)."""
        while True:
            await self.wait_ended()
            while not self._is_stopping:
                delay_s = self._restarts.crashed()
                if delay_s is None:
                    log_.error("PostgreSQL crashed too often and stays down", log_end=self._log_end())
                    return
                log_.warning("PostgreSQL ended; it is started again", delay_s=delay_s)
                await self._sleep(delay_s)
                try:
                    await self.start()
                    break
                except CannotServe as error:
                    log_.error("PostgreSQL does not start", error=str(error))
            if self._is_stopping:
                return

    async def stop(self) -> None:
        """Stop PostgreSQL: clients are cut, everything is written. After 30 s at once (the next start recovers)."""
        self._is_stopping = True
        for how in (signal.SIGINT, signal.SIGQUIT):
            if not self.pid or locks.is_free(self._lock_path):
                return
            os.kill(self.pid, how)
            try:
                return await asyncio.wait_for(self.wait_ended(), STOP_S_MAX)
            except TimeoutError:
                log_.error("PostgreSQL does not stop", signal=how.name)

    async def _attached(self, version: str | None) -> bool:
        """Attach to what runs here. A server of another VERSION (a minor update came) is stopped instead: False."""
        found = postmaster.read(self._cluster)
        if found is None or not found.is_ready or not postmaster.socket_in(Path(found.socket_folder)):
            return False
        url = _url(Path(found.socket_folder))
        try:
            connection = await asyncpg.connect(url, timeout=db.CONNECT_S_MAX)
            running = str(await connection.fetchval("SHOW server_version")).split()[0]
            await connection.close(timeout=5)
        except db.UNREACHABLE:
            return False
        self.url, self.pid, self._process = url, found.pid, None
        if version in {None, running}:
            log_.info("attached to a running PostgreSQL", pid=found.pid)
            return True
        self._check_major(version or "", running)
        os.kill(found.pid, signal.SIGINT)
        return False

    async def _launch(self, programs: binaries.Programs, lock: int) -> None:
        account = programs.account
        await self._wait_for_stale(account.uid if account else os.geteuid())
        await self._make(programs)
        self._check_major(programs.version, read_version(self._cluster))
        sockets = folders.socket_folder(self._data_dir / "sockets", account)
        with (
            _named(self._cluster, account) as cluster,
            _named(sockets, account) as socket_folder,
            self._log_file() as log_file,
        ):
            options = SETTINGS | {"unix_socket_directories": '"' + socket_folder.name.replace('"', '""') + '"'}
            if sys.platform == "darwin":
                options["wal_sync_method"] = "fsync_writethrough"
            arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
            self._process = await asyncio.create_subprocess_exec(
                programs.folder / "postgres",
                *("-D", cluster.name, *arguments),
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log_file,
                pass_fds=(lock, *cluster.fds, *socket_folder.fds),
                start_new_session=True,
                **binaries.as_account(account),  # type: ignore[arg-type]
            )
        self.pid = self._process.pid
        await self._wait_ready(self._process)
        self.url = _url(sockets)

    async def _wait_for_stale(self, uid: int) -> None:
        """Nothing runs here, yet the last postmaster's file may name a process: PostgreSQL then refuses to start.

        It is a zombie that its parent will reap, or a stranger with its number; the file is never removed by force.
        """
        deadline = time.monotonic() + STALE_S_MAX
        while (found := postmaster.read(self._cluster)) and postmaster.stands_in_the_way(found.pid, uid):
            if time.monotonic() > deadline:
                raise CannotServe(
                    f"No PostgreSQL runs in {self._data_dir}, but {self._cluster / 'postmaster.pid'} names "
                    f"{postmaster.describe(found.pid)}, which is still there. End it or its parent; "
                    "if it has nothing to do with hypereal, remove that file."
                )
            await asyncio.sleep(LOST_POLL_S)

    async def _make(self, programs: binaries.Programs) -> None:
        """Make the cluster where there is none. It appears under its name only when it is whole."""
        if self._cluster.exists():
            return
        account = programs.account
        binaries.check_passwd_entry(account)
        new = self._cluster.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if account is not None:
            os.chown(new, account.uid, account.gid)
        with _named(new, account) as folder:
            making = await asyncio.create_subprocess_exec(
                programs.folder / "initdb",
                *("-D", folder.name, "-U", USER, "--encoding=UTF8"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                *("--auth-local=trust", "--auth-host=reject", "--data-checksums", "--no-instructions"),
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=folder.fds,
                **binaries.as_account(account),  # type: ignore[arg-type]
            )
            try:
                _, complaint = await asyncio.wait_for(making.communicate(), START_S_MAX)
            finally:
                if making.returncode is None:
                    making.kill()
        if making.returncode != 0:
            raise CannotServe(f"PostgreSQL cannot make a database in {new}:\n{complaint.decode(errors='replace')}")
        new.replace(self._cluster)

    async def _wait_ready(self, process: Process) -> None:
        deadline = time.monotonic() + START_S_MAX
        while True:
            found = postmaster.read(self._cluster)
            if found is not None and found.pid == process.pid and found.is_ready:
                return
            if process.returncode is not None or time.monotonic() > deadline:
                how = "is not ready" if process.returncode is None else f"ended with code {process.returncode}"
                raise CannotServe(
                    f"PostgreSQL did not start: it {how}. The end of {self._log_path}:\n{self._log_end()}"
                )
            await asyncio.sleep(POLL_S)

    def _check_major(self, ours: str, theirs: str) -> None:
        if ours.partition(".")[0] != theirs.partition(".")[0]:
            raise CannotServe(
                f"The database in {self._cluster} is of PostgreSQL {theirs}, and this hypereal brings {ours}. Run the "
                "hypereal that made it, save with `hypereal backup FILE`, then `hypereal restore FILE` with this one "
                "into a new --data-dir."
            )

    def _log_file(self) -> IO[bytes]:
        """The server's log, open to append; set aside first when it has grown."""
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_BYTES_MAX:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        return open(os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _log_end(self) -> str:
        try:
            with self._log_path.open("rb") as file:
                file.seek(max(0, self._log_path.stat().st_size - 8192))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        except OSError:
            return "(no log)"

    def _unanswered(self) -> str:
        found = postmaster.read(self._cluster)
        who = postmaster.describe(found.pid) if found else "no process that its files name"
        return f"The PostgreSQL of {self._data_dir} does not answer ({who}). The end of its log:\n{self._log_end()}"


class _Named:
    """A folder as another process can name it: its path, or a descriptor that the process inherits."""

    def __init__(self, name: str, fds: tuple[int, ...]) -> None:
        self.name = name
        self.fds = fds


@contextmanager
def _named(folder: Path, account: folders.Account | None) -> Iterator[_Named]:
    if account is None or not sys.platform.startswith("linux"):
        yield _Named(str(folder), ())
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _Named(f"/proc/self/fd/{fd}", (fd,))
    finally:
        os.close(fd)


def _url(sockets: Path) -> str:
    return f"postgresql://{USER}@/postgres?host={quote(str(sockets), safe='/')}"
