"""`hypereal serve`: the server, until a signal ends it."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from hypereal import ledger
from hypereal.kit import log, settings
from hypereal.kit.db import Database
from hypereal.serve import migrate, supervisor


async def _migrate(url: str) -> None:
    if not await migrate.is_current(url):
        await asyncio.to_thread(migrate.up, url)


async def _close_dead(url: str, instance_id: str, alive: frozenset[int]) -> None:
    database = Database(url, connections_max=2)
    await database.open()
    try:
        await ledger.close_dead(database, instance_id, alive)
    finally:
        await database.close()


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option()] = None,
    workers: Annotated[int | None, typer.Option()] = None,
    data_dir: Annotated[Path | None, typer.Option()] = None,
    config: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Run the server."""
    given = {"host": host, "port": port, "workers": workers, "data_dir": str(data_dir) if data_dir else None}
    overrides: dict[str, dict[str, Any]] = {"server": {k: v for k, v in given.items() if v is not None}}
    read = settings.load(config, overrides)
    log.configure(process="supervisor", level=read.server.log_level)
    wiring = supervisor.Wiring(migrate=_migrate, close_dead=_close_dead, on_ready=print)
    raise typer.Exit(supervisor.serve(read, config, overrides, wiring))
