"""All SQL of the conversations. A row without `sealed` says that there was one, and that it was too large to keep."""

from collections.abc import Sequence

import msgspec

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation as it is stored."""

    owner_id: AccountId
    response_id: str
    model: str
    sealed: bytes | None


async def keep(connection: Connection, rows: Sequence[Row], kept_for_s: float) -> None:
    """Insert ROWS; those that are there stay as they are, so that a batch whose answer was lost may be sent again.

    They are seen by all at once, and on disk a moment later (`synchronous_commit`).
    """
    await connection.execute(
        """
        WITH soon AS (SELECT set_config('synchronous_commit', 'off', true))
        INSERT INTO conversations (owner_id, response_id, model, sealed, expires_at)
        SELECT owner_id, response_id, model, sealed, clock_timestamp() + make_interval(secs => $5)
        FROM soon,
            unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS kept (owner_id, response_id, model, sealed)
        ON CONFLICT DO NOTHING
        """,
        [row.owner_id for row in rows],
        [row.response_id for row in rows],
        [row.model for row in rows],
        [row.sealed for row in rows],
        kept_for_s,
    )


async def find(connection: Connection, owner_id: AccountId, response_id: str) -> Row | None:
    """The owner's conversation that RESPONSE_ID ended, until it expires."""
    row = await connection.fetchrow(
        """
        SELECT owner_id, response_id, model, sealed FROM conversations
        WHERE owner_id = $1 AND response_id = $2 AND expires_at > clock_timestamp()
        """,
        owner_id,
        response_id,
    )
    return None if row is None else Row(**dict(row))


async def delete_expired(connection: Connection, rows_max: int) -> int:
    """Delete at most ROWS_MAX that have expired, but those that somebody else is deleting; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM conversations WHERE (owner_id, response_id) IN (
                SELECT owner_id, response_id FROM conversations
                WHERE expires_at <= clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        rows_max,
    )
    return deleted


async def delete_excess(connection: Connection, owner_bytes_max: int, rows_max: int) -> int:
    """Of owners who have more than OWNER_BYTES_MAX, delete the oldest beyond it, at most ROWS_MAX in all; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH owners AS (
            SELECT owner_id FROM conversations GROUP BY owner_id HAVING sum(octet_length(sealed)) > $1
        ), summed AS (
            SELECT owner_id, response_id,
                sum(octet_length(sealed)) OVER (PARTITION BY owner_id ORDER BY expires_at DESC, response_id) AS so_far
            FROM conversations JOIN owners USING (owner_id)
        ), gone AS (
            DELETE FROM conversations WHERE (owner_id, response_id) IN (
                SELECT owner_id, response_id FROM summed WHERE so_far > $1 ORDER BY so_far DESC LIMIT $2
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        owner_bytes_max,
        rows_max,
    )
    return deleted
