"""The database, for as long as a command needs it: up to date, whether or not the server runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypereal.kit.db import Database
from hypereal.kit.settings import Settings
from hypereal.serve import migrate
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres import reach_database

CONNECTIONS_MAX = 2


@asynccontextmanager
async def opened(settings: Settings, purpose: str) -> AsyncIterator[Database]:
    """The migrated database. PURPOSE names the command to others who have to wait for it. Raises CannotServe."""
    async with reach_database(settings, purpose) as url:
        await bring_up_to_date(url)
        async with connected(url) as database:
            yield database


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Database]:
    """The database at URL, closed at the end. Raises one of UNREACHABLE."""
    database = Database(url, connections_max=CONNECTIONS_MAX)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def bring_up_to_date(url: str) -> bool:
    """Apply the migrations that are missing. False where none was. Raises CannotServe."""
    if await migrate.is_current(url):
        return False
    try:
        await asyncio.to_thread(migrate.up, url)
    except migrate.MigrationFailed as error:
        raise CannotServe(f"The database could not be brought up to this version; it is as it was.\n{error}") from None
    return True
