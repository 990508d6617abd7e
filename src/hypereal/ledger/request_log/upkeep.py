"""Keeping the request log: a table for each day made ahead, old days dropped whole, sums of hours kept current.

Any number of processes may do it at once, and it may stop for long: rows are written and sums are exact all the same.
"""

from datetime import UTC, datetime, time, timedelta

import msgspec

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.ledger.request_log import store
from hypereal.ledger.request_log.changing import in_rounds, unless_held

DAYS_AHEAD = 7
ROWS_MAX = 20_000
"""In one transaction."""
USERS_MAX = 1_000
"""Of one account's day whose sums are told apart: those that cost most. The others are one sum."""
USERS_MAX_FRESH = 10_000
"""The same of yesterday and today, of which more may still come."""
LOOK_BACK_DAYS = 8
"""How far the upkeep looks for days with too many."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How many whole days are kept besides today: of the rows, and of the sums of hours, never fewer of those."""

    rows_days: int
    hours_days: int


async def fold(database: Database) -> int:
    """Add what was written since the last pass to the sums; of how many deltas. Raises UNREACHABLE."""
    async with database.connection() as connection:
        return await in_rounds(lambda: store.fold(connection, ROWS_MAX), ROWS_MAX)


async def tend(database: Database, retention: Retention) -> None:
    """Make the tables of the coming days, and drop what is older than RETENTION. Raises one of UNREACHABLE.

    A table that readers or writers hold stays as it is until the next pass.
    """
    today = utc_now().date()
    first = today - timedelta(days=retention.rows_days)
    async with database.connection() as connection:
        for day in await store.days_wanted(connection, first, today, today + timedelta(days=DAYS_AHEAD)):
            await unless_held(connection, store.make_day, day)
        for day in await store.days_before(connection, first):
            await unless_held(connection, store.drop_day, day)
        rows_from = datetime.combine(first, time(), UTC)
        await in_rounds(lambda: store.drop_strays(connection, rows_from, ROWS_MAX), ROWS_MAX)
        hours_from = rows_from - timedelta(days=max(0, retention.hours_days - retention.rows_days))
        await in_rounds(lambda: store.drop_sums(connection, hours_from, ROWS_MAX), ROWS_MAX)
        await in_rounds(lambda: store.drop_words(connection, first, ROWS_MAX), ROWS_MAX)


async def merge_users(database: Database) -> int:
    """Bound how many users of a day are told apart; how many were added to the others. Raises one of UNREACHABLE."""
    today = utc_now().date()
    since, fresh = today - timedelta(days=LOOK_BACK_DAYS), today - timedelta(days=1)
    kept = (USERS_MAX, USERS_MAX_FRESH)
    async with database.connection() as connection:
        return await in_rounds(lambda: store.merge_users(connection, since, fresh, kept, ROWS_MAX), ROWS_MAX)
