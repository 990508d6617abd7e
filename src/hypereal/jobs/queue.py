"""Jobs as others see them: put into the queue, looked at, cancelled, run again. Running them is `engine.py`."""

from datetime import datetime
from enum import StrEnum

import msgspec

from hypereal.jobs import store
from hypereal.jobs.job import Again, Done, Failed, Job, Outcome, Retry
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import Conflict, NotFound
from hypereal.kit.ids import AccountId, JobId, new_id

CHANNEL = "jobs"
"""Notices say that something may be due sooner than was known."""
HOUSE = AccountId("acc_house")
"""Owns what is nobody else's."""
ERROR_LENGTH_MAX = 1_000
PAGE_MAX = 100


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be done."""

    kind: str
    owner_id: AccountId = HOUSE
    payload: msgspec.Struct
    after_s: float = 0.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A job as operators see it."""

    id: JobId
    kind: str
    owner_id: AccountId
    payload: msgspec.Raw
    state: State
    due_at: datetime
    """Where it runs: when the claim ends unless it is renewed."""
    attempts: int
    waiting: str | None
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job in the queue."""

    kind: str
    due: int
    waiting: int
    """For their time."""
    running: int
    failed: int
    """Dead letters."""
    oldest_due_s: float


class Lost(Exception):
    """The job is not this worker's any more: its claim ran out, or it was cancelled. Nothing of it may be written."""


async def enqueue(connection: Connection, *new: NewJob) -> list[JobId]:
    """Write NEW in the caller's transaction. After its commit `announce`, else they begin up to a second later."""
    ids = [JobId(new_id("job")) for _ in new]
    rows = [
        (job_id, job.kind, job.owner_id, msgspec.json.encode(job.payload).decode(), job.after_s)
        for job_id, job in zip(ids, new, strict=True)
    ]
    await store.add(connection, rows)
    return ids


async def announce(database: Database, job_id: str = "") -> None:
    """Tell all workers that something is due, or that JOB_ID was cancelled.

    Never inside a transaction: there a notice holds up the commits of all others.
    """
    async with database.connection() as connection:
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, job_id)


async def write(connection: Connection, job: Job, outcome: Done | Again | Failed) -> None:
    """Write the OUTCOME of a claimed job in the caller's transaction; its handler then gives WRITTEN.

    Raises Lost, which must end the transaction: somebody else has the job.
    """
    if not await store.write(connection, [step_of(job, outcome)]):
        raise Lost(job.id)


async def confirm(connection: Connection, job: Job) -> None:
    """See that a claimed job is still this worker's, and keep it so to the end of the caller's transaction.

    For what a handler writes on its way. Raises Lost, which must end the transaction.
    """
    if not await store.confirm(connection, job.id, job.token):
        raise Lost(job.id)


async def hasten(connection: Connection, job_id: JobId) -> None:
    """Let a job that waits for its time be run at once. After the commit `announce`."""
    await store.hasten(connection, job_id)


def step_of(job: Job, outcome: Outcome, retry_after_s: float = 0.0) -> store.Step:
    """What is written of JOB for OUTCOME. RETRY_AFTER_S is for a Retry that names no time."""
    mine = store.Step(id=job.id, token=job.token, state=State.DONE, attempts=job.attempts)
    match outcome:
        case Again():
            waiting = text_of(outcome.reason)
            return msgspec.structs.replace(
                mine, state=State.QUEUED, after_s=outcome.after_s, at=outcome.at, attempts=0, waiting=waiting
            )
        case Retry():
            after_s = retry_after_s if outcome.after_s is None else outcome.after_s
            error = text_of(outcome.error)
            return msgspec.structs.replace(
                mine, state=State.QUEUED, after_s=after_s, waiting="retry after a failure", error=error
            )
        case Failed():
            return msgspec.structs.replace(mine, state=State.FAILED, error=text_of(outcome.error))
        case _:
            return mine


async def find(database: Database, job_id: JobId) -> Row:
    """One job, for operators. Raises NotFound."""
    async with database.connection() as connection:
        row = await store.find(connection, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return _row(dict(row))


async def list_jobs(
    database: Database, *, state: State | None = None, kind: str | None = None, after: JobId | None = None
) -> list[Row]:
    """At most 100 jobs of all owners in the order of their ids, those that come after AFTER. For operators."""
    async with database.connection() as connection:
        rows = await store.list_jobs(connection, state, kind, after or JobId(""), PAGE_MAX)
    return [_row(dict(row)) for row in rows]


async def retry(database: Database, job_id: JobId) -> None:
    """Run a dead letter, a cancelled job or one that waits, now. Raises NotFound, Conflict where it runs or is done."""
    async with database.connection() as connection:
        is_queued = await store.retry(connection, job_id)
    if not is_queued:
        raise Conflict(f"{job_id} is {(await find(database, job_id)).state}: only what waits or failed is run again.")
    await announce(database)


async def cancel(database: Database, job_id: JobId) -> None:
    """End a job; one that runs is stopped within seconds. Raises NotFound, Conflict where it has ended."""
    async with database.connection() as connection:
        is_cancelled = await store.cancel(connection, job_id)
    if not is_cancelled:
        raise Conflict(f"{job_id} is {(await find(database, job_id)).state} already.")
    await announce(database, job_id)


async def depths(database: Database) -> list[Depth]:
    """The queue, by kind. Raises one of UNREACHABLE."""
    async with database.connection() as connection:
        return [Depth(**dict(row)) for row in await store.depths(connection)]


def _row(row: dict[str, object]) -> Row:
    return Row(**{**row, "payload": msgspec.Raw(str(row["payload"]).encode()), "state": State(str(row["state"]))})  # type: ignore[arg-type]


def text_of(text: str) -> str:
    """What PostgreSQL takes."""
    return text[:ERROR_LENGTH_MAX].replace("\0", "").encode(errors="replace").decode()
