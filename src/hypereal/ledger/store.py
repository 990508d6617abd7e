"""All SQL of the ledger, but for functions of several statements: `ledger_flush`, `_late`, `_close` (migrations)."""

from datetime import datetime
from uuid import UUID

import asyncpg

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, JobId, PoolId, ProcessId

FENCED = "HR001"
"""The SQLSTATE by which `ledger_flush` and `ledger_late` say that the process is in another state, or elsewhere in its
spool."""

FLUSH = (
    "SELECT leased, balance, free, elsewhere "
    "FROM ledger_flush($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
)
"""Prepared once per connection, since it runs for every batch."""

RECALLS = "ledger_recalls"
"""The channel on which `ledger_flush` names pools that a process is short of while others lease from them."""


async def read_cluster(connection: Connection) -> UUID:
    """Which database this is."""
    cluster: UUID = await connection.fetchval("SELECT id FROM cluster")
    return cluster


async def open_process(
    connection: Connection, instance_id: str, pid: int, boot_id: str, *, start: int, live_s: float
) -> ProcessId:
    """Register a data process whose spool begins at START and that is live for LIVE_S. Its number, which fences."""
    number: int = await connection.fetchval(
        """
        INSERT INTO processes (instance_id, pid, boot_id, acked, live_until)
        VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)) RETURNING id
        """,
        instance_id,
        pid,
        boot_id,
        start,
        live_s,
    )
    return ProcessId(number)


async def open_dead(connection: Connection, instance_id: str, start: int) -> ProcessId:
    """A number under which to settle what a process left that the database does not know any more."""
    number: int = await connection.fetchval(
        """
        INSERT INTO processes (instance_id, pid, boot_id, acked, live_until, state)
        VALUES ($1, 0, '', $2, clock_timestamp(), 'dead') RETURNING id
        """,
        instance_id,
        start,
    )
    return ProcessId(number)


async def read_process(connection: Connection, process_id: ProcessId) -> asyncpg.Record | None:
    """A process's `state`, and how far its spool was `acked`."""
    return await connection.fetchrow("SELECT state, acked FROM processes WHERE id = $1", process_id)


async def close_former(connection: Connection, instance_id: str, pid: int, spooled: ProcessId | None) -> None:
    """Close what this very process registered before, or another with its pid; not SPOOLED."""
    await connection.execute(
        """
        SELECT ledger_close(id) FROM processes
        WHERE instance_id = $1 AND pid = $2 AND state = 'live' AND id IS DISTINCT FROM $3
        """,
        instance_id,
        pid,
        spooled,
    )


async def close_process(
    connection: Connection, process_id: ProcessId, state: str = "closed", live_until: datetime | None = None
) -> bool:
    """Return a process's leases; it is 'closed', or 'dead' while it may have settled more.

    False where it was so before, or (LIVE_UNTIL) it was heard of since.
    """
    return bool(await connection.fetchval("SELECT ledger_close($1, $2, $3)", process_id, state, live_until))


async def settle_late(connection: Connection, process_id: ProcessId, span: tuple[int, int], records: str) -> None:
    """Charge what a process that is live no more had settled, from one position of its spool to another.

    Raises PostgresError with FENCED where the database is at another position.
    """
    await connection.execute("SELECT ledger_late($1, $2, $3, $4)", process_id, *span, records)


async def charge_late(connection: Connection, records: str) -> None:
    """Charge what RECORDS say, at most what is free, and log them."""
    await connection.execute("SELECT ledger_charge_late(0, $1)", records)


async def overdue_processes(connection: Connection) -> dict[ProcessId, datetime]:
    """The live processes that should have been heard of by now, and when."""
    rows = await connection.fetch(
        "SELECT id, live_until FROM processes WHERE state = 'live' AND live_until < clock_timestamp() LIMIT 1000"
    )
    return {ProcessId(row["id"]): row["live_until"] for row in rows}


async def close_all(connection: Connection) -> int:
    """Return the leases of every process and close it; how many."""
    count: int = await connection.fetchval(
        "SELECT count(*) FILTER (WHERE ledger_close(id)) FROM processes WHERE state <> 'closed'"
    )
    return count


async def dead_processes(
    connection: Connection, instance_id: str, boot_id: str, alive_pids: list[int], spooled: list[ProcessId]
) -> list[ProcessId]:
    """The live processes of this instance that ran before this boot, or whose pid is not among ALIVE_PIDS; without
    SPOOLED, whose spools tell more."""
    rows = await connection.fetch(
        """
        SELECT id FROM processes
        WHERE instance_id = $1 AND state = 'live' AND (boot_id <> $2 OR NOT pid = ANY ($3::int[]))
            AND NOT id = ANY ($4::bigint[])
        ORDER BY id
        """,
        instance_id,
        boot_id,
        alive_pids,
        spooled,
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


async def fund_month(connection: Connection, pool_id: PoolId, owner_id: AccountId, limit: int) -> None:
    """The pool of a key's month, funded with the key's LIMIT."""
    await connection.execute(
        """
        INSERT INTO pools (id, owner_id, kind, funded) VALUES ($1, $2, 'key_month', $3)
        ON CONFLICT (id) DO UPDATE SET funded = EXCLUDED.funded WHERE pools.funded <> EXCLUDED.funded
        """,
        pool_id,
        owner_id,
        limit,
    )


async def lock_free(connection: Connection, pools: list[PoolId]) -> dict[PoolId, int]:
    """What is free of POOLS, which nobody else changes before the transaction ends; those that are not are missing."""
    rows = await connection.fetch(
        """
        SELECT id, funded - used - leased - held AS free FROM pools WHERE id = ANY ($1) ORDER BY id FOR UPDATE
        """,
        pools,
    )
    return {PoolId(row["id"]): row["free"] for row in rows}


async def hold(connection: Connection, job_id: JobId, pools: list[PoolId], amount: int) -> None:
    """Hold AMOUNT of each of POOLS, which are locked, for a job."""
    await connection.execute(
        """
        WITH held AS (
            INSERT INTO job_holds (job_id, pool_id, amount) SELECT $1, unnest($2::text[]), $3::bigint RETURNING pool_id
        )
        UPDATE pools p SET held = held + $3::bigint FROM held WHERE p.id = held.pool_id
        """,
        job_id,
        pools,
        amount,
    )


async def end_hold(connection: Connection, job_id: JobId, cost: int) -> dict[PoolId, int]:
    """Charge COST of what a job holds and free the rest; what it held of which pool, nothing where it holds nothing."""
    rows = await connection.fetch(
        """
        WITH locked AS MATERIALIZED (
            SELECT id, kind FROM pools
            WHERE id IN (SELECT pool_id FROM job_holds WHERE job_id = $1) ORDER BY id FOR UPDATE
        ), ended AS (
            DELETE FROM job_holds h USING locked WHERE h.job_id = $1 AND h.pool_id = locked.id
            RETURNING h.pool_id, h.amount, locked.kind
        ), moved AS (
            UPDATE pools p SET held = p.held - ended.amount, used = p.used + $2::bigint
            FROM ended WHERE p.id = ended.pool_id
        ), entered AS (
            INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
            SELECT pool_id, CASE kind WHEN 'wallet' THEN 'house/revenue' ELSE 'house/budgets' END, $2::bigint,
                'charge', 'job', $1 || ':' || pool_id
            FROM ended WHERE $2::bigint > 0
        )
        SELECT pool_id, amount FROM ended
        """,
        job_id,
        cost,
    )
    return {PoolId(row["pool_id"]): row["amount"] for row in rows}


async def log(connection: Connection, records: str) -> None:
    """Usage rows, as `rows.document` has them."""
    await connection.execute(
        "INSERT INTO usage SELECT * FROM json_populate_recordset(usage_blank(), $1::json)", records
    )


async def recall(connection: Connection, pool_id: PoolId) -> bool:
    """Ask those who lease of a pool for what they do not use. False where nobody leases of it."""
    leased = await connection.fetchval(
        """
        WITH recalled AS (
            UPDATE pools SET recalled_at = clock_timestamp()
            WHERE id = $1 AND leased > 0 AND coalesce(recalled_at <= clock_timestamp() - interval '20 ms', true)
            RETURNING pg_notify('ledger_recalls', id)
        )
        SELECT leased FROM pools LEFT JOIN recalled ON true WHERE id = $1
        """,
        pool_id,
    )
    return bool(leased)


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
            SELECT pool_id, sum(amount) AS amount, -least(sum(least(amount, 0)), 0) AS withdrawn FROM (
                SELECT credit_pool AS pool_id, amount FROM entries WHERE kind IN ('gift', 'payment')
                UNION ALL SELECT debit_pool, -amount FROM entries WHERE kind IN ('gift', 'payment')
            ) moved GROUP BY pool_id
        ), logged AS (
            SELECT owner_id AS pool_id, sum(charged) AS amount FROM usage_ever GROUP BY owner_id
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
                (SELECT sum(amount) FROM entries WHERE kind = 'write_off'), (SELECT sum(written_off) FROM usage_ever)
            UNION ALL SELECT 'leased and held: free before', p.id, p.leased + p.held,
                least(p.leased + p.held, p.funded - p.used + coalesce(s.withdrawn, 0))
            FROM pools p LEFT JOIN funded s ON s.pool_id = p.id WHERE p.kind = 'wallet'
            UNION ALL SELECT 'a call is settled once', request_id, count(*), 1
            FROM usage GROUP BY request_id HAVING count(*) > 1
            UNION ALL SELECT 'cost: charged and written off', request_id, cost, charged + written_off
            FROM usage WHERE cost <> charged + written_off
            UNION ALL SELECT 'the log refused a call', record ->> 'request_id', (record ->> 'cost')::numeric::bigint, 0
            FROM usage_refused
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


async def alert(connection: Connection, month: str, after: PoolId, limit: int) -> list[asyncpg.Record]:
    """Of the next LIMIT keys' months of MONTH ('2026-11') that may have news, in the order of their ids: mark what is
    alerted of, and tell it: the percentage alerted `before` and the `level` now.

    A month is used up (100) where nothing is left, and where 80 % is used and a call was refused, since calls rarely
    cost just what is left. A raised limit takes back what was alerted. Locked pools are left for the next time.
    """
    return await connection.fetch(
        """
        WITH news AS MATERIALIZED (
            SELECT id, owner_id, funded, used, alerted, raised_at, alerted > 0 AND funded > alerted_limit AS is_raised
            FROM pools
            WHERE kind = 'key_month' AND right(id, 7) = $1 AND id > $2 AND funded > 0
                AND (alerted < 100 AND used * 5 >= funded * 4 OR alerted > 0 AND funded > alerted_limit)
            ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
        ), levels AS (
            SELECT n.*, CASE
                WHEN used >= funded THEN 100
                WHEN used * 5 < funded * 4 THEN 0
                WHEN NOT is_raised AND EXISTS (
                    SELECT FROM usage u
                    WHERE u.owner_id = n.owner_id AND u.key_id = split_part(n.id, '/', 1)
                        AND u.started_at > greatest(now() - interval '10 minutes', n.raised_at)
                        AND u.error_type = 'spending_limit_reached'
                ) THEN 100
                ELSE 80 END AS level
            FROM news n
        ), marked AS (
            UPDATE pools p
            SET alerted = l.level, alerted_limit = l.funded,
                raised_at = CASE WHEN l.is_raised THEN clock_timestamp() ELSE l.raised_at END
            FROM levels l WHERE p.id = l.id AND (l.level > l.alerted OR l.is_raised)
        )
        SELECT id, owner_id, funded, used, alerted AS before, level FROM levels ORDER BY id
        """,
        month,
        after,
        limit,
    )


async def low_wallets(connection: Connection, mark: int, limit: int) -> list[asyncpg.Record]:
    """(owner_id, balance) of at most LIMIT wallets that fell to MARK since this was asked last. Reads all wallets."""
    return await connection.fetch(
        """
        WITH crossed AS MATERIALIZED (
            SELECT id FROM pools
            WHERE kind = 'wallet' AND used > 0 AND is_low <> (funded - used <= $1)
            ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
        ), moved AS (
            UPDATE pools p SET is_low = funded - used <= $1 FROM crossed WHERE p.id = crossed.id
            RETURNING p.owner_id, p.is_low, p.funded - p.used AS balance
        )
        SELECT owner_id, balance FROM moved WHERE is_low
        """,
        mark,
        limit,
    )


async def spent(connection: Connection, owner_id: AccountId, pools: list[PoolId]) -> dict[PoolId, int]:
    """What was charged to an owner's POOLS; those that were never used are missing."""
    rows = await connection.fetch("SELECT id, used FROM pools WHERE owner_id = $1 AND id = ANY ($2)", owner_id, pools)
    return {PoolId(row["id"]): row["used"] for row in rows}
