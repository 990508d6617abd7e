"""All SQL of media jobs. The owner is the first thing that each is asked with."""

from collections.abc import Sequence

import asyncpg
import msgspec

from hypereal.gateway.media.job import JOB_FIELDS, MediaJob, Part, Problem, State, json_of
from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, JobId

COLUMNS = ", ".join(JOB_FIELDS)


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job goes on: what is None stays, but for `waiting`."""

    state: State | None = None
    waiting: str | None = None
    queue_id: JobId | None = None
    target: int | None = None
    round: int | None = None
    progress: float | None = None
    has_begun: bool = False
    """The vendor works on it now."""
    request: str | None = None


async def add(connection: Connection, owner_id: AccountId, job: MediaJob, sealed: bytes, ttl_s: float) -> None:
    """A new job, which has TTL_S to end."""
    await connection.execute(
        """
        INSERT INTO media_jobs (
            id, owner_id, key_id, kind, model, state, sealed, targets, queue_id, per, n, units, unit_price,
            price_version, waiting, request, deadline_at
        ) VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::jsonb,
            clock_timestamp() + make_interval(secs => $17))
        """,
        job.id,
        owner_id,
        job.key_id,
        job.kind,
        job.model,
        job.state,
        sealed,
        list(job.targets),
        job.queue_id,
        job.per,
        job.n,
        job.units,
        job.unit_price,
        job.price_version,
        job.waiting,
        json_of(job.request),
        ttl_s,
    )


async def find(
    connection: Connection, owner_id: AccountId, job_id: JobId, *, locks: bool = False
) -> asyncpg.Record | None:
    """A job of the owner's; LOCKS: nobody else changes it before the transaction ends."""
    return await connection.fetchrow(
        f"SELECT {COLUMNS} FROM media_jobs WHERE id = $2 AND owner_id = $1 {'FOR UPDATE' if locks else ''}",  # noqa: S608
        owner_id,
        job_id,
    )


async def find_ask(connection: Connection, owner_id: AccountId, job_id: JobId) -> bytes | None:
    """What was asked for, sealed; None once the job has ended."""
    sealed: bytes | None = await connection.fetchval(
        "SELECT sealed FROM media_jobs WHERE id = $2 AND owner_id = $1", owner_id, job_id
    )
    return sealed


async def list_jobs(
    connection: Connection, owner_id: AccountId, kind: str | None, before: JobId | None, limit: int
) -> list[asyncpg.Record]:
    """The owner's newest LIMIT jobs that are older than BEFORE."""
    return await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM media_jobs
        WHERE owner_id = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,  # noqa: S608
        owner_id,
        kind,
        before,
        limit,
    )


async def begin(connection: Connection, owner_id: AccountId, job_id: JobId) -> bool:
    """A vendor is about to be asked. False where that is not wanted any more."""
    found = await connection.fetchval(
        """
        UPDATE media_jobs SET state = 'submitting', waiting = NULL
        WHERE id = $2 AND owner_id = $1 AND state IN ('queued', 'submitting') AND NOT is_cancel_asked RETURNING id
        """,
        owner_id,
        job_id,
    )
    return found is not None


async def move(connection: Connection, owner_id: AccountId, job_id: JobId, to: Move) -> bool:
    """Write where a job goes on. False where it has ended."""
    found = await connection.fetchval(
        """
        UPDATE media_jobs
        SET state = coalesce($3, state), waiting = $4, queue_id = coalesce($5, queue_id),
            target = coalesce($6, target), round = coalesce($7, round), progress = coalesce($8, progress),
            begun_at = CASE WHEN $9 THEN coalesce(begun_at, clock_timestamp()) ELSE begun_at END,
            request = coalesce($10::jsonb, request)
        WHERE id = $2 AND owner_id = $1 AND finished_at IS NULL RETURNING id
        """,
        owner_id,
        job_id,
        to.state,
        to.waiting,
        to.queue_id,
        to.target,
        to.round,
        to.progress,
        to.has_begun,
        to.request,
    )
    return found is not None


async def ask_cancel(connection: Connection, owner_id: AccountId, job_id: JobId) -> None:
    """The owner wants an open job to be stopped."""
    await connection.execute(
        "UPDATE media_jobs SET is_cancel_asked = true WHERE id = $2 AND owner_id = $1 AND finished_at IS NULL",
        owner_id,
        job_id,
    )


async def finish(
    connection: Connection, owner_id: AccountId, job: MediaJob, error: Problem | None
) -> asyncpg.Record | None:
    """Write the end of JOB, its state, cost and outputs: the row; None where it had ended before."""
    return await connection.fetchrow(
        f"""
        UPDATE media_jobs
        SET state = $3, cost = $4, outputs = $5::jsonb, error = $6::jsonb, request = $7::jsonb, waiting = NULL,
            progress = CASE WHEN $3 = 'completed' THEN 1 ELSE progress END, sealed = NULL,
            finished_at = clock_timestamp()
        WHERE id = $2 AND owner_id = $1 AND finished_at IS NULL RETURNING {COLUMNS}
        """,  # noqa: S608
        owner_id,
        job.id,
        job.state,
        job.cost,
        json_of(job.outputs),
        json_of(error),
        json_of(job.request),
    )


async def list_parts(connection: Connection, owner_id: AccountId, job_id: JobId) -> list[asyncpg.Record]:
    """A job's parts, in the order of their numbers."""
    return await connection.fetch(
        """
        SELECT number, target, n, state, key_number, task, outputs, fault
        FROM media_parts WHERE job_id = $2 AND owner_id = $1 ORDER BY number
        """,
        owner_id,
        job_id,
    )


async def write_parts(connection: Connection, owner_id: AccountId, job_id: JobId, parts: Sequence[Part]) -> None:
    """New parts, or what became of those of the same numbers."""
    await connection.executemany(
        """
        INSERT INTO media_parts (job_id, number, owner_id, target, n, state, key_number, task, outputs, fault)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10::jsonb)
        ON CONFLICT (job_id, number) DO UPDATE
        SET state = EXCLUDED.state, key_number = EXCLUDED.key_number, task = EXCLUDED.task,
            outputs = EXCLUDED.outputs, fault = EXCLUDED.fault
        """,
        [
            (
                job_id,
                part.number,
                owner_id,
                part.target,
                part.n,
                part.state,
                part.key_number,
                json_of(part.task),
                json_of(part.outputs),
                json_of(part.fault),
            )
            for part in parts
        ],
    )


async def find_called(connection: Connection, job_id: JobId, number: int) -> asyncpg.Record | None:
    """The `target` of a part that runs, and the `queue_id` of its job, whoever owns it: vendors name no owner."""
    return await connection.fetchrow(
        """
        SELECT p.target, j.queue_id FROM media_parts p JOIN media_jobs j ON j.id = p.job_id
        WHERE p.job_id = $1 AND p.number = $2 AND p.state = 'running' AND j.finished_at IS NULL
        """,
        job_id,
        number,
    )


async def overdue(connection: Connection, late_s: float, limit: int) -> list[asyncpg.Record]:
    """(owner, id) of open jobs of all owners whose time ended LATE_S ago: nobody works on them any more."""
    return await connection.fetch(
        """
        SELECT owner_id, id FROM media_jobs
        WHERE finished_at IS NULL AND deadline_at < clock_timestamp() - make_interval(secs => $1)
        ORDER BY deadline_at LIMIT $2
        """,
        late_s,
        limit,
    )


async def delete_finished(connection: Connection, kept_s: float, limit: int) -> int:
    """Delete at most LIMIT jobs of all owners that ended KEPT_S ago; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM media_jobs WHERE id IN (
                SELECT id FROM media_jobs WHERE finished_at < now() - make_interval(secs => $1)
                ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        kept_s,
        limit,
    )
    return deleted


async def tell(connection: Connection, channel: str, job_id: JobId) -> None:
    """A notice that a job has ended. Never inside a transaction."""
    await connection.execute("SELECT pg_notify($1, $2)", channel, job_id)
