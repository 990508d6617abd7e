"""The supervisor, its PostgreSQL and its children as real processes."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support import processes
from tests.support.local_model import needs_local_model
from tests.support.supervised import Supervised, lives

from hypereal.serve.postgres import postmaster


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with processes.short_folder() as folder:
        yield folder / "data"


@pytest.fixture
def running(data_dir: Path) -> Iterator[Supervised]:
    supervised = Supervised(data_dir, workers=2).wait_ready()
    yield supervised
    supervised.end()


def postgres_pid(data_dir: Path) -> int:
    found = postmaster.read(data_dir / "postgres")
    assert found is not None
    return found.pid


def test_it_runs_all_processes_and_stops_them(data_dir: Path) -> None:
    running = Supervised(data_dir, workers=2).wait_ready()
    children = running.children
    assert set(children) == {"data-0", "data-1", "control"}
    about = running.ask()
    assert children[about["name"]] == about["pid"]
    assert about["malloc"] == "67108864"
    assert about["database_url"].startswith("postgresql://")
    assert running.ask_control()["pid"] == children["control"]
    code, complaint = running.end()
    assert code == 0, complaint
    assert not any(lives(pid) for pid in children.values())
    assert not running.postgres_runs()
    assert not (data_dir / "run" / "supervisor.json").exists()


def test_sockets_and_files_of_the_run_are_private(running: Supervised) -> None:
    run = running.data_dir / "run"
    modes = {name: stat.S_IMODE((run / name).stat().st_mode) for name in os.listdir(run)}
    assert modes == {"control.sock": 0o600, "local.sock": 0o600, "supervisor.json": 0o600}
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


def test_every_slot_serves_the_one_port(running: Supervised) -> None:
    processes.wait_until(
        lambda: len({running.ask()["name"] for _ in range(20)}) == 2, "both data processes get connections"
    )


def test_a_second_supervisor_on_the_folder_is_refused_and_names_the_first(running: Supervised) -> None:
    code, complaint = Supervised(running.data_dir).end_by_itself()
    assert code == 1
    assert f"process {running.process.pid} (hypereal serve) uses the data folder" in complaint
    assert running.ask()["name"].startswith("data-")


def test_a_port_that_is_taken_is_named_with_its_holder(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, complaint = Supervised(data_dir, port=port).end_by_itself()
    assert code == 1
    assert f"Port {port} of 127.0.0.1 is taken by process {os.getpid()}" in complaint
    assert "--port" in complaint


def test_a_port_that_another_shares_is_refused_too(running: Supervised, data_dir: Path) -> None:
    with processes.short_folder() as folder:
        code, complaint = Supervised(folder, port=running.port).end_by_itself()
    assert code == 1
    assert f"Port {running.port} of 127.0.0.1 is taken" in complaint


def test_a_killed_supervisor_leaves_postgres_and_the_next_one_takes_it(data_dir: Path) -> None:
    first = Supervised(data_dir).wait_ready()
    server, port = postgres_pid(data_dir), first.port
    first.kill()
    assert first.postgres_runs()
    second = Supervised(data_dir, port=port).wait_ready()
    assert postgres_pid(data_dir) == server
    assert second.ask()["name"] == "data-0"
    code, complaint = second.end()
    assert code == 0, complaint
    assert not second.postgres_runs()


def test_a_crashed_data_process_is_closed_and_comes_back(running: Supervised) -> None:
    before = running.children
    os.kill(before["data-0"], signal.SIGKILL)
    assert running.wait_for("close_dead") == f"[{before['data-1']}]"
    processes.wait_until(lambda: running.children["data-0"] != before["data-0"], "data-0 comes back")
    assert running.children["data-1"] == before["data-1"]


def test_connections_wait_while_their_process_restarts(data_dir: Path) -> None:
    running = Supervised(data_dir).wait_ready()
    crashed = running.children["data-0"]
    os.kill(crashed, signal.SIGKILL)
    assert running.ask()["pid"] != crashed
    running.end()


def test_a_process_that_crashes_five_times_stops_everything(data_dir: Path) -> None:
    running = Supervised(data_dir).wait_ready()
    (data_dir / "run" / "control.broken").touch()
    os.kill(running.children["control"], signal.SIGKILL)
    code, complaint = running.end_by_itself()
    assert code == 1
    assert "crashed too often" in complaint
    assert not running.postgres_runs()


def test_a_process_that_cannot_start_ends_the_start(data_dir: Path) -> None:
    (data_dir / "run").mkdir(parents=True, mode=0o700)
    (data_dir / "run" / "data-0.broken").touch()
    starting = Supervised(data_dir)
    code, complaint = starting.end_by_itself()
    assert code == 1
    assert "data-0 ended with code 3 before it was ready" in complaint
    assert not starting.postgres_runs()


def test_a_hangup_reaches_the_children(running: Supervised) -> None:
    running.process.send_signal(signal.SIGHUP)
    for name in ("data-0", "data-1", "control"):
        processes.wait_until(lambda name=name: running.told(name) == "hup", f"{name} is told")


def test_a_second_signal_ends_at_once(data_dir: Path) -> None:
    running = Supervised(data_dir).wait_ready()
    (data_dir / "run" / "slow").touch()
    running.process.send_signal(signal.SIGTERM)
    processes.wait_until(lambda: running.told("data-0") == "term 1", "data-0 drains")
    assert running.process.poll() is None
    code, complaint = running.end()
    assert code == 0, complaint
    assert running.told("data-0") == "term 2"


def test_with_the_operators_database_none_is_started(running: Supervised, data_dir: Path) -> None:
    url = running.ask()["database_url"]
    with processes.short_folder() as folder:
        other = Supervised(folder, url=url).wait_ready()
        assert other.ask()["database_url"] == url
        assert other.end()[0] == 0
        assert not (folder / "postgres").exists()
    assert running.postgres_runs()


def test_the_operators_database_wants_the_operators_secret(data_dir: Path) -> None:
    code, complaint = Supervised(data_dir, url="postgresql://nobody@127.0.0.1:9/none", secret="").end_by_itself()
    assert code == 1
    assert "HYPEREAL_SERVER__SECRET" in complaint
    assert not (data_dir / "secret").exists()


def test_those_who_seal_and_sign_know_the_secret(running: Supervised) -> None:
    assert running.ask()["secret"] == (running.data_dir / "secret").read_text()
    assert running.ask_control()["secret"] == running.ask()["secret"]


@needs_local_model
def test_the_local_model_starts_on_the_first_call_and_again_after_a_crash(running: Supervised) -> None:
    others = children_of(running.process.pid)
    assert say_hi(running) == 200
    [local] = children_of(running.process.pid) - others
    os.kill(local, signal.SIGKILL)
    processes.wait_until(lambda: local not in children_of(running.process.pid), "the local model is gone")
    assert say_hi(running) == 200


def say_hi(running: Supervised) -> int:
    """The status of a short call to the local model."""
    transport = httpx2.HTTPTransport(uds=str(running.data_dir / "run" / "local.sock"))
    call = {"messages": [{"role": "user", "content": "Say hi"}], "max_tokens": 3}
    with httpx2.Client(transport=transport, base_url="http://local", timeout=60) as client:
        return client.post("/v1/chat/completions", json=call).status_code


def children_of(pid: int) -> set[int]:
    return {
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    }
