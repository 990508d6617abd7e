"""The prices that were set here, as one process knows them: read at each notice, and in force when their time comes."""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg

from hypereal.catalog import store
from hypereal.catalog.price import Price
from hypereal.catalog.versions import PriceVersion, current_prices, in_force, next_change
from hypereal.kit import log
from hypereal.kit.clock import utc_now
from hypereal.kit.db import UNREACHABLE, Database, Feed

RETRY_S = 1.0
WAIT_S_MAX = 60.0
"""Until the clock is looked at again: it may be set."""


class PriceCache:
    """CHANGED is called whenever other prices are in force than before. While the database is away they stay."""

    def __init__(self, database: Database, feed: Feed, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed
        self._versions: list[PriceVersion] = []
        self._stale = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        feed.on(store.CHANNEL, lambda _: self._stale.set())

    async def open(self) -> None:
        """Read, and go on reading. Raises one of UNREACHABLE."""
        self._versions = await current_prices(self._database)
        self._wait_for_next()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def in_force(self) -> Mapping[str, Price]:
        """The prices that hold now, by model."""
        return in_force(self._versions, utc_now())

    async def _run(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                versions = await current_prices(self._database)
            except (*UNREACHABLE, asyncpg.PostgresError) as error:
                log.get("catalog").warning("prices are not read", error=str(error))
                await asyncio.sleep(RETRY_S)
                self._stale.set()
                continue
            if versions != self._versions:
                self._versions = versions
                self._tell()

    def _tell(self) -> None:
        self._wait_for_next()
        self._changed()

    def _wait_for_next(self) -> None:
        """Set a timer to the next price that comes into force: that needs no notice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = utc_now()
        due = next_change(self._versions, now)
        if due is not None:
            wait_s = (due - now).total_seconds()
            then = self._tell if wait_s <= WAIT_S_MAX else self._wait_for_next
            self._timer = asyncio.get_running_loop().call_later(min(wait_s, WAIT_S_MAX), then)
