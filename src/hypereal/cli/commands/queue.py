"""`hypereal queue`: the background jobs of all accounts."""

import asyncio
from typing import Annotated

import msgspec
import typer

from hypereal import jobs
from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.kit.ids import JobId

JOBS_MAX = 1_000
"""The most that `list` shows."""

app = new_app()

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `queue list` shows it.")]


@app.callback()
def queue() -> None:
    """Look at background jobs; run one again, or cancel it."""


@app.command("list", epilog="Example: hypereal queue list --state failed")
def list_(
    state: Annotated[jobs.State | None, typer.Option("--state", help="Only those. Default: all.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind, as `hypereal status` names it.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List jobs. Those that failed for good are kept for 90 days."""
    rows = asyncio.run(_list(data_dir, config, state, kind))
    if as_json:
        output.write_json({"jobs": rows})
        return
    table = output.table("id", "kind", "owner", "state", "due", "attempts", "why", numbers=("attempts",))
    for row in rows:
        why = row.waiting or (row.last_error if row.state is jobs.State.FAILED else None) or "-"
        due = f"{row.due_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(row.id, row.kind, row.owner_id, row.state.value, due, str(row.attempts), why)
    output.write(table)


@app.command(epilog="Example: hypereal queue show job_0123456789abcdef01234567")
def show(job_id: Id, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show all that is known of a job."""
    row = asyncio.run(_show(data_dir, config, JobId(job_id)))
    if as_json:
        output.write_json(msgspec.structs.asdict(row))
        return
    table = output.table("", "")
    for name, value in msgspec.structs.asdict(row).items():
        table.add_row(name, bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value))
    output.write(table)


@app.command(epilog="Example: hypereal queue retry job_0123456789abcdef01234567")
def retry(job_id: Id, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Run a job now that failed, was cancelled or waits."""
    asyncio.run(_retry(data_dir, config, JobId(job_id)))
    if as_json:
        output.write_json({"id": job_id, "queued": True})
    else:
        output.write(f"{job_id} is queued again.")


@app.command(epilog="Example: hypereal queue cancel job_0123456789abcdef01234567")
def cancel(job_id: Id, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """End a job that waits or runs."""
    asyncio.run(_cancel(data_dir, config, JobId(job_id)))
    if as_json:
        output.write_json({"id": job_id, "cancelled": True})
    else:
        output.write(f"{job_id} is cancelled.")


async def _list(data_dir: DataDir, config: Config, state: jobs.State | None, kind: str | None) -> list[jobs.Row]:
    async with database.opened(read_settings(config, data_dir), "queue list") as opened:
        found: list[jobs.Row] = []
        page = await jobs.list_jobs(opened, state=state, kind=kind)
        while page and len(found) < JOBS_MAX:
            found += page
            page = await jobs.list_jobs(opened, state=state, kind=kind, after=page[-1].id)
        return found[:JOBS_MAX]


async def _show(data_dir: DataDir, config: Config, job_id: JobId) -> jobs.Row:
    async with database.opened(read_settings(config, data_dir), "queue show") as opened:
        return await jobs.find(opened, job_id)


async def _retry(data_dir: DataDir, config: Config, job_id: JobId) -> None:
    async with database.opened(read_settings(config, data_dir), "queue retry") as opened:
        await jobs.retry(opened, job_id)


async def _cancel(data_dir: DataDir, config: Config, job_id: JobId) -> None:
    async with database.opened(read_settings(config, data_dir), "queue cancel") as opened:
        await jobs.cancel(opened, job_id)
