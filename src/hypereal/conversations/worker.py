"""Deleting conversations: a day after their last answer, or sooner where an owner has too many."""

from collections.abc import Awaitable, Callable

from hypereal.conversations import store
from hypereal.jobs import Context, Every, Schedule
from hypereal.kit.db import Database

OWNER_BYTES_MAX = 256 * 1024 * 1024
"""Of one owner's conversations, as they are stored."""
SWEEP_S = 60.0
ROWS_MAX = 500
ROUNDS_MAX = 100
"""In one sweep."""


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


async def _sweep(context: Context) -> None:
    await sweep(context.database)


SCHEDULES = (Schedule(kind="conversations.sweep", when=Every(SWEEP_S), run=_sweep),)
