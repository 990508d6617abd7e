"""Requests per minute and owner, over all processes: each takes slices of the owner's window and spends them in memory.

Windows are minutes of the database's clock. A slice is worth nothing after its window, so nothing is ever given back.
While the database is away each data process of a host counts alone, up to its share of the limit.
"""

import asyncio
from math import ceil
from time import monotonic
from typing import Final

from hypereal.kit.db import UNREACHABLE, Database, in_time
from hypereal.kit.errors import Overloaded, RateLimited
from hypereal.kit.ids import AccountId
from hypereal.limits import store
from hypereal.limits.quota import Quota

SLICES_PER_PROCESS: Final = 8
ALONE_S: Final = 60.0
WINDOWS_MAX: Final = 100_000
ROUNDS_MAX: Final = 8


class _Window:
    """One owner's minute. Not a struct: setting a member of one costs more than all the rest of `admit`."""

    __slots__ = ("ends_s", "left", "limit", "unused")

    def __init__(self, limit: int, left: int, used: int, ends_s: float) -> None:
        self.limit = limit
        self.left = left
        """Of this process's slices."""
        self.unused = max(0, limit - used)
        """By anyone, as the database last said; this process's slices count as used."""
        self.ends_s = ends_s
        """By `time.monotonic`, never later than the database's minute."""


class RateLimiter:
    """`admit` from memory; where that gives None, `fetch` from the database."""

    def __init__(self, database: Database, *, processes: int) -> None:
        self._database = database
        self._processes = processes
        self._shares = SLICES_PER_PROCESS * processes
        self._windows: dict[AccountId, _Window] = {}
        self._fetches: dict[AccountId, asyncio.Task[None]] = {}
        self._wanted: dict[AccountId, int] = {}

    def admit(self, owner_id: AccountId, per_minute: int) -> Quota | None:
        """Count one request. None where only the database knows whether there is room.

        Raises RateLimited, with the headers, where the window is used up.
        """
        window = self._windows.get(owner_id)
        if window is None or window.limit != per_minute:
            return None
        left_s = window.ends_s - monotonic()
        if left_s <= 0:
            return None
        left = window.left
        if left == 0:
            if window.unused:
                return None
            raise _over(Quota(per_minute, 0, ceil(left_s)))
        window.left = left = left - 1
        return Quota(per_minute, window.unused + left, ceil(left_s))

    async def fetch(self, owner_id: AccountId, per_minute: int) -> Quota:
        """Take a slice of the window, then admit. Callers of one owner share one query.

        Raises RateLimited, and Overloaded where the database is away and nothing is known of the owner.
        """
        self._wanted[owner_id] = self._wanted.get(owner_id, 0) + 1
        try:
            for _ in range(ROUNDS_MAX):
                quota = self.admit(owner_id, per_minute)
                if quota is not None:
                    return quota
                await self._refill(owner_id, per_minute)
        finally:
            self._wanted[owner_id] -= 1
            if not self._wanted[owner_id]:
                del self._wanted[owner_id]
        raise Overloaded("The rate limit cannot be checked at the moment. Please try again.")

    async def _refill(self, owner_id: AccountId, per_minute: int) -> None:
        task = self._fetches.get(owner_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._take(owner_id, per_minute))
            self._fetches[owner_id] = task
            task.add_done_callback(lambda done: self._taken(owner_id, done))
        try:
            await in_time(task)
        except UNREACHABLE:
            if not self._count_alone(owner_id, per_minute):
                raise Overloaded("The rate limit cannot be checked at the moment. Please try again.") from None

    def _count_alone(self, owner_id: AccountId, per_minute: int) -> bool:
        """Take this process's share of the limit, where the last minute that was counted is over."""
        former, now_s = self._windows.get(owner_id), monotonic()
        if former is None or former.ends_s > now_s:
            return False
        share = max(1, per_minute // self._processes)
        self._windows[owner_id] = _Window(per_minute, share, per_minute, now_s + ALONE_S)
        return True

    def _taken(self, owner_id: AccountId, task: asyncio.Task[None]) -> None:
        del self._fetches[owner_id]
        if not task.cancelled():
            task.exception()  # whoever awaited it has it; nobody may be left to

    async def _take(self, owner_id: AccountId, per_minute: int) -> None:
        asked_s = monotonic()
        async with self._database.connection() as connection:
            taken = await store.take(connection, owner_id, per_minute, self._wanted.get(owner_id, 1), self._shares)
        if len(self._windows) >= WINDOWS_MAX:
            self._windows.clear()  # the worst that comes of it is slices lost
        left = taken.slice
        window = self._windows.get(owner_id)
        ends_s = asked_s + taken.left_s
        if window is not None and window.limit == per_minute and window.ends_s > asked_s:
            left += window.left
            ends_s = min(ends_s, window.ends_s)
        self._windows[owner_id] = _Window(per_minute, left, taken.used, ends_s)


def _over(quota: Quota) -> RateLimited:
    error = RateLimited(
        f"Over the limit of {quota.limit} requests per minute. Try again in {quota.reset_s} s.", quota.reset_s
    )
    error.headers.update(quota.headers)
    return error
