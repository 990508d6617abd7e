"""Keeping the bodies: a table for each day that any may end on, days that are over dropped whole, bodies of keys that
are gone deleted."""

from datetime import timedelta

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.ledger.request_log.bodies import store
from hypereal.ledger.request_log.changing import in_rounds, unless_held

DAYS_MAX = 30
"""The most that a key may keep its bodies (`accounts.keys.BODY_DAYS_MAX`)."""
ROWS_MAX = 500


async def tend(database: Database) -> None:
    """All of it. Raises one of UNREACHABLE. A table that readers or writers hold stays as it is until the next pass."""
    today = utc_now().date()
    async with database.connection() as connection:
        for day in await store.days_wanted(connection, today, today + timedelta(days=DAYS_MAX + 1)):
            await unless_held(connection, store.make_day, day)
        for day in await store.days_before(connection, today):
            await unless_held(connection, store.drop_day, day)
        await in_rounds(lambda: store.delete_strays(connection, today, ROWS_MAX), ROWS_MAX)
        await store.forget(connection, today - timedelta(days=DAYS_MAX + 1))


async def forget(database: Database) -> int:
    """Delete the bodies of keys that are gone; how many. Raises one of UNREACHABLE."""
    async with database.connection() as connection:
        return await in_rounds(lambda: store.delete_gone(connection, ROWS_MAX), ROWS_MAX)
