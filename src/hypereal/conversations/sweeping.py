"""Deleting conversations: a day after their last answer, or sooner where an owner has too many. Any process may."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from hypereal.conversations import store
from hypereal.kit import log
from hypereal.kit.db import UNREACHABLE, Database

OWNER_BYTES_MAX = 256 * 1024 * 1024
"""Of one owner's conversations, as they are stored."""
SWEEP_S = 60.0
ROWS_MAX = 500
ROUNDS_MAX = 100
"""In one sweep."""


async def keep_swept(database: Database) -> None:
    """Sweep once a minute, until cancelled. A database that is away or refuses is asked again a minute later."""
    while True:
        try:
            await sweep(database)
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            log.get("conversations").warning("conversations are not swept", error=str(error))
        await asyncio.sleep(SWEEP_S)


async def sweep(database: Database) -> int:
    """Delete what has expired, and the oldest of owners over OWNER_BYTES_MAX; how many. Raises one of UNREACHABLE."""
    async with database.connection() as connection:
        expired = await _in_rounds(lambda: store.delete_expired(connection, ROWS_MAX))
        return expired + await _in_rounds(lambda: store.delete_excess(connection, OWNER_BYTES_MAX, ROWS_MAX))


async def _in_rounds(delete: Callable[[], Awaitable[int]]) -> int:
    """Call DELETE until there is nothing left, or enough was done for once; how many it deleted."""
    deleted = 0
    for _ in range(ROUNDS_MAX):
        gone = await delete()
        deleted += gone
        if gone < ROWS_MAX:
            break
    return deleted
