"""Storage's schedules: uploads that never came, outputs past their retention, what is to be removed; the daily bill."""

import asyncio
from collections.abc import Awaitable, Callable

from hypereal.jobs import Context, Daily, Every, Schedule
from hypereal.kit import log
from hypereal.kit.errors import HyperealError
from hypereal.storage import spool, store
from hypereal.storage.billing import bill_all
from hypereal.storage.faults import BucketAway
from hypereal.storage.objects import Kind, StoredObject, object_of
from hypereal.storage.storage import Storage

SWEEP_S = 300.0
SWEEP_S_MAX = 1800.0
ROWS_MAX = 100
ROUNDS_MAX = 100
"""In one sweep."""
GRACE_S = 6 * 3600.0
"""An upload that began in time may still come for so long."""
DAY_S = 24 * 3600.0
BILLED_AT_HOUR = 0
"""UTC: a day's storage stands in that day's successor."""


async def sweep(storage: Storage) -> None:
    """All that is due. What a bucket that is away leaves undone is done by the next sweep."""
    try:
        await _in_rounds(storage, _overdue, _settle)
        await _in_rounds(storage, _retired, lambda of, stored: of.delete(stored.owner_id, stored.id))
        await _in_rounds(storage, _gone, Storage.erase)
    except BucketAway as error:
        log.get("storage").warning("the sweep is not through", error=error.why)
    await asyncio.to_thread(spool.sweep, storage.folder)


async def _in_rounds(
    storage: Storage,
    found: Callable[[Storage], Awaitable[list[StoredObject]]],
    settle: Callable[[Storage, StoredObject], Awaitable[None]],
) -> None:
    for _ in range(ROUNDS_MAX):
        rows, failed = await found(storage), 0
        for stored in rows:
            try:
                await settle(storage, stored)
            except BucketAway:
                raise
            except HyperealError as error:
                failed += 1
                log.get("storage").warning("an object is not settled", id=stored.id, error=error.message)
        if len(rows) < ROWS_MAX or failed == len(rows):
            return


async def _overdue(storage: Storage) -> list[StoredObject]:
    async with storage.database.connection() as connection:
        return [object_of(row) for row in await store.list_overdue(connection, GRACE_S, ROWS_MAX)]


async def _settle(storage: Storage, found: StoredObject) -> None:
    """The time of its upload is over: what came is what it is, and an upload that never came is none.

    Who uploads straight to a bucket may have put other bytes there after we looked; now nobody can any more.
    """
    arrival = await storage.arrival(found)
    if arrival is None:
        return await storage.delete(found.owner_id, found.id)
    if not found.is_ready:
        await storage.arrive(found, arrival)
        return
    async with storage.database.transaction() as connection:
        row = await store.correct(connection, found.owner_id, found.id, arrival)
        if row is not None:
            change = store.Change(size_bytes=arrival.size_bytes - row["was_bytes"])
            await store.change_sums(connection, found.owner_id, change)


async def _retired(storage: Storage) -> list[StoredObject]:
    days = storage.settings.output_days
    if days is None:
        return []
    async with storage.database.connection() as connection:
        return [object_of(row) for row in await store.list_retired(connection, Kind.OUTPUT, days * DAY_S, ROWS_MAX)]


async def _gone(storage: Storage) -> list[StoredObject]:
    is_direct = storage.bucket.direct is not None
    async with storage.database.connection() as connection:
        return [object_of(row) for row in await store.list_gone(connection, ROWS_MAX, is_direct=is_direct)]


def schedules(storage: Storage) -> tuple[Schedule, ...]:
    """For the engine."""

    async def run(_: Context) -> None:
        await sweep(storage)

    async def bill(_: Context) -> None:
        await bill_all(storage)

    return (
        Schedule(kind="storage.sweep", when=Every(SWEEP_S), run=run, timeout_s=SWEEP_S_MAX),
        Schedule(kind="storage.bill", when=Daily(BILLED_AT_HOUR), run=bill, timeout_s=SWEEP_S_MAX),
    )
