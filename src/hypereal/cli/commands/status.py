"""`hypereal status`."""

import asyncio
import http.client
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import typer
from rich.table import Table

from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.gateway import Health, Snapshot
from hypereal.jobs import Depth, depths
from hypereal.kit.db import UNREACHABLE
from hypereal.kit.settings import Settings
from hypereal.ledger import SpoolFigures
from hypereal.serve import listen, supervisor
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import reach_database
from hypereal.serve.snapshots import read_snapshots

ANSWER_S_MAX = 3.0
ANSWER_BYTES_MAX = 65536
STATE_SHOWN = {
    "closed": "available",
    "half_open": "about to be probed",
    "open": "left alone after failures",
}

app = new_app()


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A running process; None where the system does not tell."""

    name: str
    pid: int
    uptime_s: int | None
    memory_bytes: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A running server."""

    running: bool = True
    address: str
    version: str
    data_dir: str
    ready: dict[str, str]
    """What `/readyz` says, by check."""
    processes: list[Process]
    connections: int
    calls_open: int
    unsettled: int
    """Calls that the database does not know to be settled yet."""
    spool: dict[str, SpoolFigures]
    """What data processes settled and the database does not have, by process."""
    targets: dict[str, Health]
    """Those that were used so far."""
    queue: list[Depth] | None
    """Background jobs, by kind; None while the database is away."""


@app.command(epilog="Example: hypereal status --json")
def status(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what runs, and how it fares.

    Exit code 1 where no server runs on this data folder.
    """
    settings = read_settings(config, data_dir)
    has_folder = (settings.server.data_dir / "serve.lock").exists()
    running = supervisor.read_status(settings) if has_folder else None
    if running is None:
        if as_json:
            output.write_json({"running": False, "data_dir": str(settings.server.data_dir)})
        else:
            output.write(f"No server runs on {settings.server.data_dir}. `hypereal serve` starts one.")
        raise typer.Exit(1)
    report = _report(settings, running)
    if as_json:
        output.write_json(msgspec.to_builtins(report))
    else:
        _write(report)


def _report(settings: Settings, running: supervisor.Status) -> Report:
    address = listen.url_of(running.host, running.port)
    snapshots = read_snapshots(Path(running.run_dir))
    pids = {"supervisor": running.pid, **running.children}
    return Report(
        address=address,
        version=running.version,
        data_dir=str(settings.server.data_dir),
        ready=_ask_ready(address),
        processes=[_process(name, pid) for name, pid in pids.items()],
        connections=sum(snapshot.connections for snapshot in snapshots),
        calls_open=sum(snapshot.calls_open for snapshot in snapshots),
        unsettled=sum(snapshot.unsettled for snapshot in snapshots),
        spool={snapshot.process: snapshot.spool for snapshot in snapshots},
        targets=_targets(snapshots),
        queue=asyncio.run(_queue(settings)),
    )


async def _queue(settings: Settings) -> list[Depth] | None:
    try:
        async with (
            asyncio.timeout(ANSWER_S_MAX),
            reach_database(settings, "status") as url,
            database.connected(url) as opened,
        ):
            return await depths(opened)
    except (CannotServe, asyncpg.PostgresError, *UNREACHABLE):
        return None


def _ask_ready(address: str) -> dict[str, str]:
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", "/readyz")
        return msgspec.json.decode(connection.getresponse().read(ANSWER_BYTES_MAX), type=dict[str, str])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        return {"status": f"no answer: {error}"}
    finally:
        connection.close()


def _process(name: str, pid: int) -> Process:
    """Read from /proc (proc_pid_stat(5), proc_pid_statm(5)), where there is one."""
    try:
        started_ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return Process(name=name, pid=pid, uptime_s=None, memory_bytes=None)
    started_s = started_ticks / os.sysconf("SC_CLK_TCK")
    uptime_s = int(time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
    return Process(name=name, pid=pid, uptime_s=uptime_s, memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"))


def _targets(snapshots: list[Snapshot]) -> dict[str, Health]:
    """Of all data processes together: a target is as well as the best of them says, and its faults add up."""
    seen: dict[str, Health] = {}
    for snapshot in snapshots:
        for target, health in snapshot.targets.items():
            other = seen.get(target)
            seen[target] = health if other is None else _joined(other, health)
    return dict(sorted(seen.items()))


def _joined(one: Health, other: Health) -> Health:
    state = min(one.state, other.state, key=list(STATE_SHOWN).index)
    faults = {name: one.faults.get(name, 0) + other.faults.get(name, 0) for name in {**one.faults, **other.faults}}
    return Health(state=state, faults=faults, last_fault=other.last_fault or one.last_fault)


def _write(report: Report) -> None:
    processes = output.table("process", "pid", "up", "memory", numbers=("pid", "up", "memory"))
    for one in report.processes:
        memory = "-" if one.memory_bytes is None else f"{one.memory_bytes // 1024**2} MiB"
        processes.add_row(one.name, str(one.pid), "-" if one.uptime_s is None else duration(one.uptime_s), memory)
    checks = ", ".join(f"{name} {state}" for name, state in report.ready.items() if name != "status")
    output.write(
        f"Hypereal {report.version} at {report.address}, data in {report.data_dir}",
        f"{report.ready.get('status', 'unknown')}{f': {checks}' if checks else ''}",
        f"{report.connections} connections, {report.calls_open} open calls, {report.unsettled} calls not settled yet\n",
        processes,
    )
    if report.spool:
        spools = output.table("spool of", "state", "waiting", "files", "aside", "database", numbers=("files", "aside"))
        for process, spool in report.spool.items():
            waiting, told = f"{spool.waiting_bytes / 1024:.1f} KiB", f"{duration(int(spool.acked_age_s))} ago"
            spools.add_row(process, spool.state, waiting, str(spool.segments), str(spool.quarantined), told)
        output.write("", spools)
    if report.targets:
        targets = output.table("target", "state", "faults")
        for target, health in report.targets.items():
            faults = ", ".join(f"{count} {name}" for name, count in sorted(health.faults.items()))
            targets.add_row(target, STATE_SHOWN[health.state], faults or "-")
        output.write("", targets)
    if report.queue is None:
        output.write("", "The database does not say what is queued.")
    elif report.queue:
        output.write("", _queue_table(report.queue))


def _queue_table(queue: list[Depth]) -> Table:
    counts = ("due", "waiting", "running", "dead letters", "oldest due")
    table = output.table("jobs", *counts, numbers=counts)
    for depth in queue:
        figures = (depth.due, depth.waiting, depth.running, depth.failed)
        table.add_row(depth.kind, *map(str, figures), duration(int(depth.oldest_due_s)))
    return table


def duration(seconds: int) -> str:
    """'2 d 3 h', '3 h 4 min', '4 min 5 s' or '5 s'."""
    minutes, s = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{amount} {unit}" for amount, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (s, "s")) if amount]
    return " ".join(parts[:2]) or "0 s"
