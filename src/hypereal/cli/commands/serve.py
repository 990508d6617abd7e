"""`hypereal serve`: the server, until a signal ends it."""

from typing import Annotated, Any

import typer
from rich.console import Console

from hypereal.cli import offer
from hypereal.cli.options import Config, DataDir, new_app
from hypereal.cli.start import Start
from hypereal.kit import log, settings
from hypereal.serve import supervisor

app = new_app()


@app.command(epilog="Example: OPENAI_API_KEY=sk-... hypereal serve --port 8787 --workers 2")
def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Default: 8787; 0 takes any that is free.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, help="Data processes; one a core is plenty. Default: 1.")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    no_jobs: Annotated[bool, typer.Option("--no-jobs", help="Leave background jobs to `hypereal worker`.")] = False,
) -> None:
    """Run the server, until a signal ends it.

    Makes its database on the first start, and then shows a key with 1,000 credits, once. SIGTERM ends it when open
    answers are through, a second one at once; SIGHUP reads the settings again.
    """
    given = {"host": host, "port": port, "workers": workers, "data_dir": str(data_dir) if data_dir else None}
    overrides: dict[str, dict[str, Any]] = {"server": {k: v for k, v in given.items() if v is not None}}
    read = settings.load(config, overrides)
    log.configure(process="supervisor", level=read.server.log_level, format=read.server.log_format)
    with Console(stderr=True).status("Starting the database") as progress:
        start = Start(read, offer.load(read), progress.update, progress.stop)
        wiring = supervisor.Wiring(
            migrate=start.migrate, close_dead=start.close_dead, on_ready=start.on_ready, runs_jobs=not no_jobs
        )
        raise typer.Exit(supervisor.serve(read, config, overrides, wiring))
