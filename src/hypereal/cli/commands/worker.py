"""`hypereal worker`: background jobs, for as many processes and machines as they need."""

import asyncio

from hypereal.cli import database
from hypereal.cli.options import Config, DataDir, new_app, read_settings
from hypereal.kit import log
from hypereal.kit.settings import Settings
from hypereal.serve import background, folders
from hypereal.serve.postgres import reach_database

app = new_app()


@app.command(epilog="Example: HYPEREAL_DATABASE_URL=postgresql://... hypereal worker")
def worker(data_dir: DataDir = None, config: Config = None) -> None:
    """Run background jobs, and serve nothing, until a signal ends it.

    A server runs them itself unless it is started with --no-jobs. Any number of workers share the work; where one is
    killed, another goes on. SIGTERM lets open jobs end.
    """
    settings = read_settings(config, data_dir)
    log.configure(process="worker", level=settings.server.log_level, format=settings.server.log_format)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    folders.check_secret(settings)
    async with reach_database(settings, "worker") as url:
        await database.bring_up_to_date(url)
        secret = settings.server.secret or folders.secret(settings.server.data_dir)
        await background.work(url, settings, secret)
