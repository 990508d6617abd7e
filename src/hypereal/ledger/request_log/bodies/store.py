"""All SQL of the bodies. A row is shown, and deleted, by its owner and key alone; its day says how long it is kept."""

from collections.abc import Sequence
from datetime import date

import asyncpg
import msgspec

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, KeyId

LOCK_MS_MAX = 200
"""How long a change of the tables may wait, and let writers wait behind it."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The bodies of one call."""

    request_id: str
    owner_id: AccountId
    key_id: KeyId
    kept_until: date
    sealed: bytes


async def add(connection: Connection, rows: Sequence[Row], day: date, owner_bytes_max: int) -> int:
    """Insert ROWS but those of owners who have had OWNER_BYTES_MAX on DAY; how many were not taken for that.

    What is there stays, so that a batch whose answer was lost may be sent again.
    """
    refused: int = await connection.fetchval(
        """
        WITH soon AS (SELECT set_config('synchronous_commit', 'off', true)),
        given AS (
            SELECT request_id, kept_until, owner_id, key_id, sealed
            FROM soon, unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::bytea[])
                AS given (request_id, kept_until, owner_id, key_id, sealed)
        ), summed AS (
            INSERT INTO body_sums AS s (owner_id, day, size_bytes)
            SELECT owner_id, $6, sum(octet_length(sealed)) FROM given GROUP BY owner_id ORDER BY owner_id
            ON CONFLICT (owner_id, day) DO UPDATE SET size_bytes = s.size_bytes + excluded.size_bytes
            RETURNING owner_id, size_bytes
        ), added AS (
            INSERT INTO bodies (request_id, kept_until, owner_id, key_id, sealed)
            SELECT request_id, kept_until, owner_id, key_id, sealed
            FROM given JOIN summed USING (owner_id) WHERE size_bytes <= $7
            ON CONFLICT DO NOTHING
        )
        SELECT count(*) FROM given JOIN summed USING (owner_id) WHERE size_bytes > $7
        """,
        [row.request_id for row in rows],
        [row.kept_until for row in rows],
        [row.owner_id for row in rows],
        [row.key_id for row in rows],
        [row.sealed for row in rows],
        day,
        owner_bytes_max,
    )
    return refused


async def find(connection: Connection, owner_id: AccountId, request_id: str, today: date) -> asyncpg.Record | None:
    """The bodies of the owner's call: (sealed, kept_until)."""
    return await connection.fetchrow(
        """
        SELECT sealed, kept_until FROM bodies
        WHERE owner_id = $1 AND request_id = $2 AND kept_until >= $3
            AND NOT EXISTS (SELECT FROM bodies_gone WHERE bodies_gone.key_id = bodies.key_id)
        """,
        owner_id,
        request_id,
        today,
    )


async def delete_gone(connection: Connection, rows_max: int) -> int:
    """Delete at most ROWS_MAX bodies of keys that are gone; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH deleted AS (
            DELETE FROM bodies WHERE (request_id, kept_until) IN (
                SELECT b.request_id, b.kept_until FROM bodies_gone g JOIN bodies b USING (key_id) LIMIT $1
            ) RETURNING 1
        ) SELECT count(*) FROM deleted
        """,
        rows_max,
    )
    return deleted


async def forget(connection: Connection, before: date) -> None:
    """Forget what owners had of days before BEFORE, and keys that were gone by then."""
    await connection.execute("DELETE FROM body_sums WHERE day < $1", before)
    await connection.execute("DELETE FROM bodies_gone WHERE at < $1::date", before)


async def delete_strays(connection: Connection, today: date, rows_max: int) -> int:
    """Delete at most ROWS_MAX bodies that ended before TODAY and are in no day's table; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH deleted AS (
            DELETE FROM bodies_default WHERE (request_id, kept_until) IN (
                SELECT request_id, kept_until FROM bodies_default WHERE kept_until < $1 LIMIT $2
            ) RETURNING 1
        ) SELECT count(*) FROM deleted
        """,
        today,
        rows_max,
    )
    return deleted


async def days_wanted(connection: Connection, today: date, last: date) -> list[date]:
    """The days from TODAY to LAST that have no table."""
    rows = await connection.fetch(
        """
        SELECT $1::date + ahead AS day FROM generate_series(0, $2::date - $1::date) AS ahead
        WHERE to_regclass('bodies_' || to_char($1::date + ahead, 'YYYYMMDD')) IS NULL ORDER BY day
        """,
        today,
        last,
    )
    return [row["day"] for row in rows]


async def days_before(connection: Connection, today: date) -> list[date]:
    """The days before TODAY that have a table, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'bodies'::regclass AND c.relname ~ '^bodies_[0-9]{8}$'
            AND c.relname < 'bodies_' || to_char($1::date, 'YYYYMMDD')
        ORDER BY c.relname
        """,
        today,
    )
    return [row["day"] for row in rows]


async def make_day(connection: Connection, day: date) -> None:
    """A table for what ends on DAY, in a transaction. Raises LockNotAvailableError where others hold it."""
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", str(LOCK_MS_MAX))
    await connection.execute("SELECT bodies_make_day($1)", day)


async def drop_day(connection: Connection, day: date) -> None:
    """Drop what has ended on DAY, in a transaction. Raises LockNotAvailableError where others hold it."""
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", str(LOCK_MS_MAX))
    statement = await connection.fetchval(
        "SELECT format('DROP TABLE %I', 'bodies_' || to_char($1::date, 'YYYYMMDD'))", day
    )
    await connection.execute(statement)
