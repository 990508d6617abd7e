"""How the log's tables are changed under those who use them: never waiting long, and never much at once."""

from collections.abc import Awaitable, Callable
from datetime import date

import asyncpg

from hypereal.kit import log
from hypereal.kit.db import Connection

ROUNDS_MAX = 100
"""In one pass."""


async def unless_held(connection: Connection, change: Callable[[Connection, date], Awaitable[None]], day: date) -> None:
    """CHANGE the table of DAY in a transaction; where others hold it, it stays as it is."""
    try:
        async with connection.transaction():
            await change(connection, day)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        log.get("request_log").info("a day's table is in use", day=day.isoformat())


async def in_rounds(work: Callable[[], Awaitable[int]], rows_max: int) -> int:
    """Call WORK, which does ROWS_MAX at once, until there is nothing left or enough was done; how much that was."""
    done = 0
    for _ in range(ROUNDS_MAX):
        now = await work()
        done += now
        if now < rows_max:
            break
    return done
