"""The queue's own schedule: finished jobs and old idempotency keys are deleted."""

from collections.abc import Awaitable, Callable

from hypereal.jobs import store
from hypereal.jobs.job import Context, Every, Schedule
from hypereal.jobs.queue import State

DAY_S = 24 * 3600.0
KEPT_S = {State.DONE: 3 * DAY_S, State.CANCELLED: 7 * DAY_S, State.FAILED: 90 * DAY_S}
KEYS_KEPT_S = DAY_S
ROWS_MAX = 1_000
ROUNDS_MAX = 1_000
"""Of one sweep."""


async def sweep(context: Context) -> None:
    """Delete what has ended long enough ago."""
    async with context.database.connection() as connection:
        for state, kept_s in KEPT_S.items():
            await _in_rounds(
                lambda state=state, kept_s=kept_s: store.delete_finished(  # type: ignore[misc]
                    connection, state, kept_s, ROWS_MAX
                )
            )
        await _in_rounds(lambda: store.forget_keys(connection, KEYS_KEPT_S, ROWS_MAX))


async def _in_rounds(delete: Callable[[], Awaitable[int]]) -> None:
    for _ in range(ROUNDS_MAX):
        if await delete() < ROWS_MAX:
            return


SCHEDULES = (Schedule(kind="jobs.sweep", when=Every(600), run=sweep),)
