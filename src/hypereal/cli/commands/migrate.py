"""`hypereal migrate`."""

import asyncio

from hypereal.cli import database, output
from hypereal.cli.options import AsJson, Config, DataDir, new_app, read_settings
from hypereal.serve.migrate import newest
from hypereal.serve.postgres import reach_database

app = new_app()


@app.command(epilog="Example: HYPEREAL_DATABASE_URL=postgresql://... hypereal migrate")
def migrate(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Bring the database up to this version.

    All or nothing, and harmless to repeat. `serve` and the other commands do it by themselves.
    """
    asyncio.run(_migrate(data_dir, config, as_json))


async def _migrate(data_dir: DataDir, config: Config, as_json: bool) -> None:
    async with reach_database(read_settings(config, data_dir), "migrate") as url:
        applied = await database.bring_up_to_date(url)
    if as_json:
        output.write_json({"revision": newest(), "applied": applied})
    else:
        output.write(f"The database {'is now' if applied else 'was already'} at revision {newest()}.")
