"""`hypereal restore`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hypereal.cli import output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.serve import backup as backups

app = new_app()


@app.command(epilog="Example: hypereal restore /var/backups/hypereal-2026-11-26.zip --data-dir /srv/hypereal")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `hypereal backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a database that has users.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup to life: its database and its secret, here.

    All or nothing, and never under a running server. A backup of an older version is brought up to this one. What was
    spent after the backup was made is not known any more; what was on its way to the old database never arrives.
    """
    settings = read_settings(config, data_dir)
    with Console(stderr=True).status("Opening the file") as progress:
        restored = asyncio.run(backups.restore(settings, file.absolute(), progress.update, force=force))
    saved = restored.manifest
    if as_json:
        facts = {"file": str(file), "taken_at": saved.taken_at, "version": saved.version, "rows": saved.rows}
        facts |= {"revision": restored.revision, "cluster_id": restored.cluster_id, "replaced": restored.replaced}
        output.write_json(facts | {"processes_closed": restored.processes_closed})
        return
    output.write(
        f"Restored {sum(saved.rows.values()):,} rows of {len(saved.tables)} tables, as they were at "
        f"{saved.taken_at:%Y-%m-%d %H:%M:%S} UTC, at revision {restored.revision}.",
        f"{restored.processes_closed} data processes of that moment were closed, and what they leased is free. "
        "`hypereal audit` checks the sums.",
    )
