"""The request log's upkeep in SQL. The functions that it calls are in migration 0008."""

from datetime import date, datetime

import asyncpg

from hypereal.kit.db import Connection

LOCK_MS_MAX = 200
"""How long a change of the tables may wait, and let writers wait behind it."""


async def fold(connection: Connection, rows_max: int) -> int:
    """Add at most ROWS_MAX deltas to the sums of their hours; how many it were."""
    taken: int = await connection.fetchval("SELECT fold_usage($1)", rows_max)
    return taken


async def days_wanted(connection: Connection, first: date, today: date, last: date) -> list[date]:
    """The days that should have a table and have none: from TODAY to LAST, and since FIRST those that rows wait for."""
    rows = await connection.fetch(
        """
        SELECT day FROM (
            SELECT DISTINCT (started_at AT TIME ZONE 'UTC')::date AS day FROM usage_default
            UNION SELECT $2::date + ahead FROM generate_series(0, $3::date - $2::date) AS ahead
        ) days
        WHERE day BETWEEN $1 AND $3 AND to_regclass('usage_' || to_char(day, 'YYYYMMDD')) IS NULL ORDER BY day
        """,
        first,
        today,
        last,
    )
    return [row["day"] for row in rows]


async def make_day(connection: Connection, day: date) -> None:
    """A table for the rows of DAY, with those that wait for it. Raises LockNotAvailableError where others hold it.

    To be called in a transaction.
    """
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", str(LOCK_MS_MAX))
    await connection.execute("SELECT usage_make_day($1)", day)


async def days_before(connection: Connection, first: date) -> list[date]:
    """The days before FIRST that have a table, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usage'::regclass AND c.relname ~ '^usage_[0-9]{8}$'
            AND c.relname < 'usage_' || to_char($1::date, 'YYYYMMDD')
        ORDER BY c.relname
        """,
        first,
    )
    return [row["day"] for row in rows]


async def drop_day(connection: Connection, day: date) -> None:
    """Keep the sums of DAY's rows, and drop its table. Raises LockNotAvailableError where others hold it.

    To be called in a transaction.
    """
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", str(LOCK_MS_MAX))
    await connection.execute("SELECT usage_drop_day($1)", day)


async def drop_strays(connection: Connection, before: datetime, rows_max: int) -> int:
    """Delete at most ROWS_MAX rows before BEFORE that are in no day's table, and keep their sums; how many it were."""
    dropped: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM usage_default WHERE (request_id, started_at) IN (
                SELECT request_id, started_at FROM usage_default
                WHERE started_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            ) RETURNING owner_id, charged, written_off
        ), kept AS (
            INSERT INTO usage_dropped AS d (owner_id, calls, charged, written_off, until)
            SELECT owner_id, count(*), sum(charged), sum(written_off), $1 FROM gone GROUP BY owner_id ORDER BY owner_id
            ON CONFLICT (owner_id) DO UPDATE SET
                calls = d.calls + excluded.calls, charged = d.charged + excluded.charged,
                written_off = d.written_off + excluded.written_off, until = greatest(d.until, excluded.until)
        ) SELECT count(*) FROM gone
        """,
        before,
        rows_max,
    )
    return dropped


async def drop_hours(connection: Connection, before: datetime, rows_max: int) -> int:
    """Delete at most ROWS_MAX sums of hours before BEFORE whose rows are gone; how many it were."""
    dropped: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM usage_hours WHERE ctid IN (
                SELECT ctid FROM usage_hours
                WHERE hour < least($1, (SELECT coalesce(max(until), '-infinity') FROM usage_dropped))
                LIMIT $2 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        before,
        rows_max,
    )
    return dropped


async def differences(connection: Connection, rows_max: int) -> list[asyncpg.Record]:
    """(what, subject, recorded, summed) where the sums of the hours are not those of the rows. In one snapshot.

    Only as far back as all rows are there.
    """
    return await connection.fetch(
        """
        WITH since AS (
            SELECT coalesce(max(until), '-infinity') AS at FROM usage_dropped
        ), summed AS (
            SELECT owner_id, sum(calls) AS calls, sum(charged) AS charged, sum(cost) AS cost
            FROM usage_sums, since WHERE hour >= since.at GROUP BY owner_id
        ), logged AS (
            SELECT owner_id, count(*) AS calls, sum(charged) AS charged, sum(cost) AS cost
            FROM usage, since WHERE started_at >= since.at GROUP BY owner_id
        ), compared AS (
            SELECT owner_id, of.what,
                coalesce(of.recorded, 0)::bigint AS recorded, coalesce(of.summed, 0)::bigint AS summed
            FROM summed s FULL JOIN logged l USING (owner_id), LATERAL (VALUES
                ('hours: calls of usage rows', s.calls, l.calls),
                ('hours: charges of usage rows', s.charged, l.charged),
                ('hours: costs of usage rows', s.cost, l.cost)
            ) AS of (what, recorded, summed)
        )
        SELECT what, owner_id AS subject, recorded, summed FROM compared
        WHERE recorded <> summed ORDER BY what, owner_id LIMIT $1
        """,
        rows_max,
    )
