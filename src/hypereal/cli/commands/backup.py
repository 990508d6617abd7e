"""`hypereal backup`."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hypereal.cli import output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.serve import backup as backups

app = new_app()


@app.command(epilog="Example: hypereal backup /var/backups/hypereal-$(date +%F).zip")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; one that is there is replaced.")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Save all of it to one file, while it serves.

    One snapshot of the database, and the secret: what another machine needs to serve in place of this one. Settings,
    vendors' keys and stored files are not in it. Whoever has the file can read what is kept for customers (hashes of
    keys, the secret, the usage log), so it is for this user only (0600): keep it so.
    """
    began_s = time.monotonic()
    settings = read_settings(config, data_dir)
    with Console(stderr=True).status("Reaching the database") as progress:
        saved = asyncio.run(backups.save(settings, file.absolute(), progress.update))
    size_bytes = file.stat().st_size
    if as_json:
        facts = {"file": str(file), "size_bytes": size_bytes, "taken_at": saved.taken_at, "version": saved.version}
        facts |= {"revision": saved.revision, "cluster_id": saved.cluster_id, "rows": saved.rows}
        output.write_json(facts)
        return
    output.write(
        f"Saved {sum(saved.rows.values()):,} rows of {len(saved.tables)} tables to {file} "
        f"({size_bytes / 1024**2:.1f} MiB, {time.monotonic() - began_s:.1f} s), as they were at "
        f"{saved.taken_at:%Y-%m-%d %H:%M:%S} UTC."
    )
