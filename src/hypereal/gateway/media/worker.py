"""Media's schedules: jobs that nobody works on any more are ended, and old ones deleted."""

from hypereal.gateway.media import store
from hypereal.gateway.media.ending import End, end_in, told
from hypereal.gateway.media.job import Problem, State, job_of
from hypereal.gateway.media.studio import Studio
from hypereal.jobs import Context, Every, Schedule
from hypereal.kit.ids import AccountId, JobId

SWEEP_S = 60.0
LATE_S = 900.0
"""After its deadline a job's own step ends it; this long after, it has none."""
KEPT_S = 90 * 24 * 3600.0
ROWS_MAX = 500
ROUNDS_MAX = 100


def schedules(studio: Studio) -> tuple[Schedule, ...]:
    """All of them."""

    async def sweep(_: Context) -> None:
        await end_overdue(studio)
        async with studio.database.connection() as connection:
            for _round in range(ROUNDS_MAX):
                if await store.delete_finished(connection, KEPT_S, ROWS_MAX) < ROWS_MAX:
                    break

    return (Schedule(kind="media.sweep", when=Every(SWEEP_S), run=sweep),)


async def end_overdue(studio: Studio, late_s: float = LATE_S) -> int:
    """End what is past its time and was left by its steps, as those that failed for good; how many."""
    async with studio.database.connection() as connection:
        rows = await store.overdue(connection, late_s, ROWS_MAX)
    message = "It was not done in the time that there is for it. Nothing was charged."
    problem = Problem(type="timeout_error", message=message, status=504)
    for row in rows:
        async with studio.database.transaction() as connection:
            found = await store.find(connection, AccountId(row["owner_id"]), JobId(row["id"]), locks=True)
            if found is None or (job := job_of(found)).is_final:
                continue
            await end_in(studio, connection, job, End(state=State.FAILED, error=problem))
        await told(studio, job)
    return len(rows)
