"""All SQL of the jobs. Times are the database's: no two machines need to agree on the time."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, JobId


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is written of a job whose token is TOKEN."""

    id: JobId
    token: int
    state: str
    after_s: float = 0.0
    at: datetime | None = None
    """Instead of AFTER_S from now."""
    attempts: int = 0
    waiting: str | None = None
    error: str | None = None
    """None leaves the last one."""


async def add(connection: Connection, rows: Sequence[tuple[JobId, str, AccountId, str, float]]) -> None:
    """New jobs: (id, kind, owner, payload as JSON, seconds from now)."""
    await connection.executemany(
        """
        INSERT INTO jobs (id, kind, owner_id, payload, due_at)
        VALUES ($1, $2, $3, $4::jsonb, clock_timestamp() + make_interval(secs => $5))
        """,
        rows,
    )


async def plan(connection: Connection, job_id: JobId, kind: str, owner_id: AccountId, at: datetime) -> None:
    """The one job of a schedule, due at AT or sooner. One that an operator cancelled stays so."""
    await connection.execute(
        """
        INSERT INTO jobs (id, kind, owner_id, payload, due_at) VALUES ($1, $2, $3, 'null', $4)
        ON CONFLICT (id) DO UPDATE SET due_at = EXCLUDED.due_at
        WHERE jobs.state = 'queued' AND jobs.due_at > EXCLUDED.due_at
        """,
        job_id,
        kind,
        owner_id,
        at,
    )


async def now(connection: Connection) -> datetime:
    """The database's time."""
    at: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return at


async def claim(connection: Connection, kinds: list[str], slots: list[int], claim_s: float) -> list[asyncpg.Record]:
    """Claim what is due, for CLAIM_S: of each of KINDS as many as it has SLOTS, the longest due first."""
    return await connection.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT found.id, found.due_at
            FROM unnest($1::text[], $2::int[]) AS wanted (kind, slots) CROSS JOIN LATERAL (
                SELECT id, due_at FROM jobs
                WHERE kind = wanted.kind AND state IN ('queued', 'running') AND due_at <= now()
                ORDER BY due_at LIMIT wanted.slots FOR UPDATE SKIP LOCKED
            ) found
        )
        UPDATE jobs j
        SET state = 'running', token = j.token + 1, attempts = j.attempts + 1, waiting = NULL,
            due_at = clock_timestamp() + make_interval(secs => $3)
        FROM due WHERE j.id = due.id
        RETURNING j.id, j.kind, j.owner_id, j.payload, j.token, j.attempts, due.due_at AS planned_at
        """,
        kinds,
        slots,
        claim_s,
    )


async def next_due_s(connection: Connection, kinds: list[str]) -> float | None:
    """Seconds until something of KINDS is due; None where nothing will be."""
    seconds: float | None = await connection.fetchval(
        """
        SELECT extract(epoch FROM min(found.due_at) - clock_timestamp())::float8
        FROM unnest($1::text[]) AS wanted (kind) CROSS JOIN LATERAL (
            SELECT due_at FROM jobs WHERE kind = wanted.kind AND state IN ('queued', 'running')
            ORDER BY due_at LIMIT 1
        ) found
        """,
        kinds,
    )
    return seconds


async def renew(connection: Connection, claims: Sequence[tuple[JobId, int]], claim_s: float) -> set[JobId]:
    """Extend CLAIMS (id, token) by CLAIM_S; those that are still ours."""
    rows = await connection.fetch(
        """
        UPDATE jobs j SET due_at = clock_timestamp() + make_interval(secs => $3)
        FROM unnest($1::text[], $2::bigint[]) AS mine (id, token)
        WHERE j.id = mine.id AND j.token = mine.token AND j.state = 'running' RETURNING j.id
        """,
        [job_id for job_id, _ in claims],
        [token for _, token in claims],
        claim_s,
    )
    return {JobId(row["id"]) for row in rows}


async def write(connection: Connection, steps: Sequence[Step]) -> set[JobId]:
    """Write STEPS of jobs that are still whose token they name; the ids of those."""
    rows = await connection.fetch(
        """
        UPDATE jobs j
        SET state = s.state, due_at = coalesce(s.at, clock_timestamp() + make_interval(secs => s.after_s)),
            attempts = s.attempts, waiting = s.waiting, last_error = coalesce(s.error, j.last_error),
            finished_at = CASE WHEN s.state <> 'queued' THEN clock_timestamp() END
        FROM unnest(
            $1::text[], $2::bigint[], $3::text[], $4::float8[], $5::timestamptz[], $6::int[], $7::text[], $8::text[]
        ) AS s (id, token, state, after_s, at, attempts, waiting, error)
        WHERE j.id = s.id AND j.token = s.token AND j.state = 'running' RETURNING j.id
        """,
        *([getattr(step, name) for step in steps] for name in Step.__struct_fields__),
    )
    return {JobId(row["id"]) for row in rows}


async def confirm(connection: Connection, job_id: JobId, token: int) -> bool:
    """Whether the job is whose token TOKEN is; then nobody else gets it before the transaction ends."""
    found = await connection.fetchval(
        "SELECT id FROM jobs WHERE id = $1 AND token = $2 AND state = 'running' FOR NO KEY UPDATE", job_id, token
    )
    return found is not None


async def hasten(connection: Connection, job_id: JobId) -> None:
    """A job that waits for its time is due now."""
    await connection.execute(
        "UPDATE jobs SET due_at = clock_timestamp() WHERE id = $1 AND state = 'queued' AND due_at > clock_timestamp()",
        job_id,
    )


async def find(connection: Connection, job_id: JobId) -> asyncpg.Record | None:
    """A job, whoever owns it: for operators."""
    return await connection.fetchrow(
        """
        SELECT id, kind, owner_id, payload, state, due_at, attempts, waiting, last_error, created_at, finished_at
        FROM jobs WHERE id = $1
        """,
        job_id,
    )


async def list_jobs(
    connection: Connection, state: str | None, kind: str | None, after: JobId, limit: int
) -> list[asyncpg.Record]:
    """The next LIMIT jobs of all owners, of STATE and KIND where they are given: for operators."""
    return await connection.fetch(
        """
        SELECT id, kind, owner_id, payload, state, due_at, attempts, waiting, last_error, created_at, finished_at
        FROM jobs
        WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2) AND id > $3 ORDER BY id LIMIT $4
        """,
        state,
        kind,
        after,
        limit,
    )


async def retry(connection: Connection, job_id: JobId) -> bool:
    """Queue a job anew that failed or was cancelled, or run one now that waits. False where there is none such."""
    found = await connection.fetchval(
        """
        UPDATE jobs SET state = 'queued', due_at = clock_timestamp(), attempts = 0, waiting = NULL, finished_at = NULL
        WHERE id = $1 AND state IN ('queued', 'failed', 'cancelled') RETURNING id
        """,
        job_id,
    )
    return found is not None


async def cancel(connection: Connection, job_id: JobId) -> bool:
    """End a job that is queued or runs; whoever runs it is fenced. False where there is none such."""
    found = await connection.fetchval(
        """
        UPDATE jobs SET state = 'cancelled', token = token + 1, waiting = NULL, finished_at = clock_timestamp()
        WHERE id = $1 AND state IN ('queued', 'running') RETURNING id
        """,
        job_id,
    )
    return found is not None


async def depths(connection: Connection) -> list[asyncpg.Record]:
    """Of each kind: how many are due, wait for their time, run, are dead letters; how long the oldest is due."""
    return await connection.fetch(
        """
        SELECT kind,
            count(*) FILTER (WHERE state = 'queued' AND due_at <= now()) AS due,
            count(*) FILTER (WHERE state = 'queued' AND due_at > now()) AS waiting,
            count(*) FILTER (WHERE state = 'running') AS running,
            count(*) FILTER (WHERE state = 'failed') AS failed,
            coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state = 'queued' AND due_at <= now())), 0
            )::float8 AS oldest_due_s
        FROM jobs WHERE state IN ('queued', 'running') OR (state = 'failed' AND finished_at IS NOT NULL)
        GROUP BY kind ORDER BY kind
        """
    )


async def delete_finished(connection: Connection, state: str, kept_s: float, rows_max: int) -> int:
    """Delete at most ROWS_MAX jobs that ended in STATE more than KEPT_S ago; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM jobs WHERE id IN (
                SELECT id FROM jobs WHERE state = $1 AND finished_at < now() - make_interval(secs => $2)
                ORDER BY finished_at LIMIT $3 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        state,
        kept_s,
        rows_max,
    )
    return deleted


async def take_key(connection: Connection, owner_id: AccountId, key: str, request_hash: bytes) -> asyncpg.Record | None:
    """None where KEY is the caller's from now on; else what it was first used for, once that is committed."""
    taken = await connection.fetchval(
        """
        INSERT INTO idempotency (owner_id, key, request_hash) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING RETURNING key
        """,
        owner_id,
        key,
        request_hash,
    )
    if taken is not None:
        return None
    return await connection.fetchrow(
        "SELECT request_hash, status, answer FROM idempotency WHERE owner_id = $1 AND key = $2", owner_id, key
    )


async def keep_answer(connection: Connection, owner_id: AccountId, key: str, status: int, answer: bytes) -> None:
    """The first answer to the request that took KEY."""
    await connection.execute(
        "UPDATE idempotency SET status = $3, answer = $4 WHERE owner_id = $1 AND key = $2",
        owner_id,
        key,
        status,
        answer,
    )


async def forget_keys(connection: Connection, kept_s: float, rows_max: int) -> int:
    """Delete at most ROWS_MAX idempotency keys older than KEPT_S; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM idempotency WHERE (owner_id, key) IN (
                SELECT owner_id, key FROM idempotency WHERE created_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        kept_s,
        rows_max,
    )
    return deleted
