"""`hypereal jobs`: the media jobs of a key's account."""

from typing import Annotated

import msgspec
import typer

from hypereal.cli import client, output
from hypereal.cli.client import Client, Job
from hypereal.cli.options import AsJson, new_app

app = new_app()

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `jobs list` shows it.")]


@app.callback()
def jobs() -> None:
    """Watch your media jobs: list, show, wait, cancel.

    They ask a server over HTTP: HYPEREAL_API_KEY is the key, HYPEREAL_BASE_URL the server (http://127.0.0.1:8787).
    """


@app.command("list", epilog="Example: hypereal jobs list --type video --limit 5")
def list_(
    kind: Annotated[str | None, typer.Option("--type", metavar="KIND", help="Only image, video or audio.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    told = Client().get("/v1/jobs", type=kind, limit=limit)
    if as_json:
        output.write_json(told)
        return
    table = output.table("id", "type", "model", "status", "credits", "made at", "why", numbers=("credits",))
    for job in msgspec.convert(told["data"], list[Job]):
        why = job.error or job.waiting or "-"
        table.add_row(job.job_id, job.type, job.model, job.status, f"{job.credits_used:g}", job.created_at[:19], why)
    output.write(table)


@app.command(epilog="Example: hypereal jobs show job_0123456789abcdef01234567")
def show(job_id: Id, as_json: AsJson = False) -> None:
    """Show a job: how it goes, what it waits for, or where what it made is."""
    _tell(Client().get(f"/v1/jobs/{job_id}"), as_json=as_json)


@app.command(epilog="Example: hypereal jobs wait job_0123456789abcdef01234567")
def wait(job_id: Id, as_json: AsJson = False) -> None:
    """Wait until a job has ended. The exit code is 1 where it failed; Ctrl-C leaves, and does not cancel it."""
    asked = Client()
    job = client.wait(asked, job_id)
    _tell(asked.get(f"/v1/jobs/{job_id}"), as_json=as_json)
    if job.status != "completed":
        raise typer.Exit(1)


@app.command(epilog="Example: hypereal jobs cancel job_0123456789abcdef01234567")
def cancel(job_id: Id, as_json: AsJson = False) -> None:
    """Stop a job. What no provider has begun costs nothing."""
    _tell(Client().post(f"/v1/jobs/{job_id}/cancel"), as_json=as_json)


def _tell(told: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        output.write_json(told)
        return
    table = output.table("", "")
    for name, value in told.items():
        shown = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name, shown if value not in (None, []) else "-")
    output.write(table)
