"""All SQL of the ledger, but for two functions of several statements: `ledger_flush`, `ledger_close` (migrations)."""

import asyncpg

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, PoolId, ProcessId

FENCED = "HR001"
"""The SQLSTATE by which `ledger_flush` says that the process is not live any more."""

FLUSH = "SELECT leased, balance, free, elsewhere FROM ledger_flush($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
"""Prepared once per connection, since it runs for every batch."""

RECALLS = "ledger_recalls"
"""The channel on which `ledger_flush` names pools that a process is short of while others lease from them."""


async def open_process(connection: Connection, instance_id: str, pid: int, boot_id: str, live_s: float) -> ProcessId:
    """Register a data process that is live for LIVE_S; returns its number, which fences."""
    number: int = await connection.fetchval(
        """
        INSERT INTO processes (instance_id, pid, boot_id, live_until)
        VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) RETURNING id
        """,
        instance_id,
        pid,
        boot_id,
        live_s,
    )
    return ProcessId(number)


async def close_former(connection: Connection, instance_id: str, pid: int) -> None:
    """Close what this very process registered before, or another with its pid."""
    await connection.execute(
        "SELECT ledger_close(id) FROM processes WHERE instance_id = $1 AND pid = $2 AND state = 'live'",
        instance_id,
        pid,
    )


async def close_process(connection: Connection, process_id: ProcessId) -> bool:
    """Return a live process's leases and close it. False where it is closed already."""
    return bool(await connection.fetchval("SELECT ledger_close($1)", process_id))


async def close_all(connection: Connection) -> int:
    """Return the leases of every process and close it; how many."""
    count: int = await connection.fetchval(
        "SELECT count(*) FILTER (WHERE ledger_close(id)) FROM processes WHERE state = 'live'"
    )
    return count


async def dead_processes(
    connection: Connection, instance_id: str, boot_id: str, alive_pids: list[int]
) -> list[ProcessId]:
    """The live processes of this instance that ran before this boot, or whose pid is not among ALIVE_PIDS."""
    rows = await connection.fetch(
        """
        SELECT id FROM processes
        WHERE instance_id = $1 AND state = 'live' AND (boot_id <> $2 OR NOT pid = ANY ($3::int[])) ORDER BY id
        """,
        instance_id,
        boot_id,
        alive_pids,
    )
    return [ProcessId(row["id"]) for row in rows]


async def make_wallet(connection: Connection, owner_id: AccountId) -> None:
    """An empty wallet where the account has none. Raises ForeignKeyViolationError where there is no such account."""
    await connection.execute(
        "INSERT INTO pools (id, owner_id, kind) VALUES ($1, $1, 'wallet') ON CONFLICT DO NOTHING", owner_id
    )


async def add_entry(
    connection: Connection, debit: PoolId, credit: PoolId, amount: int, facts: tuple[str, str, str, str]
) -> bool:
    """Enter AMOUNT with FACTS (kind, source, source id, note). False where that source was entered before."""
    entered = await connection.fetchval(
        """
        INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id, note)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, source_id) DO NOTHING RETURNING id
        """,
        debit,
        credit,
        amount,
        *facts,
    )
    return entered is not None


async def fund(connection: Connection, owner_id: AccountId, amount: int) -> None:
    """Add AMOUNT to what a wallet was funded with."""
    await connection.execute("UPDATE pools SET funded = funded + $2 WHERE id = $1", owner_id, amount)


async def read_wallet(connection: Connection, owner_id: AccountId) -> asyncpg.Record | None:
    """A wallet's `ledger` balance (funded - used) and what is `free` of it."""
    return await connection.fetchrow(
        """
        SELECT funded - used AS ledger, funded - used - leased - held AS free
        FROM pools WHERE id = $1 AND kind = 'wallet'
        """,
        owner_id,
    )


async def differences(connection: Connection, rows_max: int) -> list[asyncpg.Record]:
    """(what, subject, recorded, summed) wherever a sum is not what was recorded. One statement: one snapshot."""
    return await connection.fetch(
        """
        WITH leased AS (
            SELECT pool_id, sum(granted - charged) AS amount
            FROM leases JOIN processes p ON p.id = process_id AND p.state = 'live' GROUP BY pool_id
        ), held AS (
            SELECT pool_id, sum(amount) AS amount FROM job_holds GROUP BY pool_id
        ), charged AS (
            SELECT debit_pool AS pool_id, sum(amount) AS amount FROM entries WHERE kind = 'charge' GROUP BY debit_pool
        ), funded AS (
            SELECT pool_id, sum(amount) AS amount FROM (
                SELECT credit_pool AS pool_id, amount FROM entries WHERE kind IN ('gift', 'payment')
                UNION ALL SELECT debit_pool, -amount FROM entries WHERE kind IN ('gift', 'payment')
            ) moved GROUP BY pool_id
        ), logged AS (
            SELECT owner_id AS pool_id, sum(charged) AS amount FROM usage GROUP BY owner_id
        ), compared AS (
            SELECT 'leased: leases of live processes' AS what, p.id AS subject, p.leased AS recorded, s.amount AS summed
            FROM pools p LEFT JOIN leased s ON s.pool_id = p.id
            UNION ALL SELECT 'held: holds of jobs', p.id, p.held, s.amount
            FROM pools p LEFT JOIN held s ON s.pool_id = p.id
            UNION ALL SELECT 'used: charge entries', p.id, p.used, s.amount
            FROM pools p LEFT JOIN charged s ON s.pool_id = p.id
            UNION ALL SELECT 'funded: entries of a wallet', p.id, p.funded, s.amount
            FROM pools p LEFT JOIN funded s ON s.pool_id = p.id WHERE p.kind = 'wallet'
            UNION ALL SELECT 'used: usage rows', p.id, p.used, s.amount
            FROM pools p LEFT JOIN logged s ON s.pool_id = p.id WHERE p.kind = 'wallet'
            UNION ALL SELECT 'written off: usage rows', 'house/written_off',
                (SELECT sum(amount) FROM entries WHERE kind = 'write_off'), (SELECT sum(written_off) FROM usage)
            UNION ALL SELECT 'a closed process leases', process_id::text, granted - charged, 0
            FROM leases JOIN processes p ON p.id = process_id AND p.state <> 'live'
        )
        SELECT what, subject, coalesce(recorded, 0)::bigint AS recorded, coalesce(summed, 0)::bigint AS summed
        FROM compared WHERE coalesce(recorded, 0) <> coalesce(summed, 0) ORDER BY what, subject LIMIT $1
        """,
        rows_max,
    )


async def find_answer(connection: Connection, owner_id: AccountId, upstream_id: str) -> str | None:
    """'provider:model' of the target that gave the owner's answer UPSTREAM_ID."""
    found: str | None = await connection.fetchval(
        """
        SELECT provider || ':' || target FROM usage WHERE upstream_id = $2 AND owner_id = $1
        ORDER BY started_at DESC LIMIT 1
        """,
        owner_id,
        upstream_id,
    )
    return found
