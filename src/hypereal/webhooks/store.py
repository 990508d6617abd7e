"""All SQL of the webhooks: endpoints, messages (an event as it is sent), and deliveries (a message to one endpoint)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, DeliveryId, EndpointId

# -- endpoints ---------------------------------------------------------------------------------------------------------


async def add_endpoint(connection: Connection, owner_id: AccountId, facts: Mapping[str, object]) -> asyncpg.Record:
    """A new endpoint with FACTS, by column."""
    row = await connection.fetchrow(
        """
        INSERT INTO webhook_endpoints (owner_id, id, url, events, description, sealed)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING *
        """,
        owner_id,
        *(facts[column] for column in ("id", "url", "events", "description", "sealed")),
    )
    assert row is not None
    return row


async def ensure_default(connection: Connection, owner_id: AccountId, endpoint_id: EndpointId, sealed: bytes) -> None:
    """The owner has a default endpoint, whose secret signs what goes to URLs of single requests."""
    await connection.execute(
        """
        INSERT INTO webhook_endpoints (owner_id, id, url, events, sealed) VALUES ($1, $2, NULL, '{}', $3)
        ON CONFLICT (owner_id) WHERE url IS NULL DO NOTHING
        """,
        owner_id,
        endpoint_id,
        sealed,
    )


async def count_endpoints(connection: Connection, owner_id: AccountId) -> int:
    """How many an owner has, without the default. The account is locked: nobody adds one meanwhile."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('webhooks/' || $1, 0))", owner_id)
    count: int = await connection.fetchval(
        "SELECT count(*) FROM webhook_endpoints WHERE owner_id = $1 AND url IS NOT NULL", owner_id
    )
    return count


async def find_endpoint(
    connection: Connection, owner_id: AccountId, endpoint_id: EndpointId | None
) -> asyncpg.Record | None:
    """An owner's endpoint; None names the default."""
    return await connection.fetchrow(
        """
        SELECT * FROM webhook_endpoints
        WHERE owner_id = $1 AND CASE WHEN $2::text IS NULL THEN url IS NULL ELSE id = $2 END
        """,
        owner_id,
        endpoint_id,
    )


async def list_endpoints(
    connection: Connection, owner_id: AccountId, after: EndpointId, limit: int
) -> list[asyncpg.Record]:
    """The next LIMIT endpoints of an owner, without the default."""
    return await connection.fetch(
        """
        SELECT * FROM webhook_endpoints WHERE owner_id = $1 AND url IS NOT NULL AND id > $2 ORDER BY id LIMIT $3
        """,
        owner_id,
        after,
        limit,
    )


async def list_listening(connection: Connection, owner_id: AccountId) -> list[asyncpg.Record]:
    """An owner's endpoints that are on: id and events."""
    return await connection.fetch(
        "SELECT id, events FROM webhook_endpoints WHERE owner_id = $1 AND url IS NOT NULL AND is_enabled ORDER BY id",
        owner_id,
    )


async def write_endpoint(
    connection: Connection, owner_id: AccountId, endpoint_id: EndpointId, facts: Mapping[str, object]
) -> asyncpg.Record | None:
    """Set FACTS, by column. One that is turned on begins without its failures."""
    return await connection.fetchrow(
        """
        UPDATE webhook_endpoints
        SET url = coalesce($3, url), events = coalesce($4, events), description = coalesce($5, description),
            is_enabled = coalesce($6, is_enabled),
            disabled_reason = CASE WHEN $6 THEN NULL WHEN NOT $6 THEN 'turned off' ELSE disabled_reason END,
            failing_since = CASE WHEN $6 OR $3 IS NOT NULL THEN NULL ELSE failing_since END
        WHERE owner_id = $1 AND id = $2 AND url IS NOT NULL RETURNING *
        """,
        owner_id,
        endpoint_id,
        *(facts.get(column) for column in ("url", "events", "description", "is_enabled")),
    )


async def rotate_secret(
    connection: Connection, owner_id: AccountId, endpoint_id: EndpointId, sealed: bytes, grace_s: float
) -> asyncpg.Record | None:
    """A new secret; the one before signs for GRACE_S too."""
    return await connection.fetchrow(
        """
        UPDATE webhook_endpoints
        SET old_sealed = sealed, old_until = clock_timestamp() + make_interval(secs => $4), sealed = $3
        WHERE owner_id = $1 AND id = $2 RETURNING *
        """,
        owner_id,
        endpoint_id,
        sealed,
        grace_s,
    )


async def delete_endpoint(connection: Connection, owner_id: AccountId, endpoint_id: EndpointId) -> bool:
    """And its deliveries. False where this owner has no such endpoint; the default stays."""
    deleted = await connection.fetchval(
        "DELETE FROM webhook_endpoints WHERE owner_id = $1 AND id = $2 AND url IS NOT NULL RETURNING id",
        owner_id,
        endpoint_id,
    )
    return deleted is not None


async def note_success(connection: Connection, owner_id: AccountId, endpoint_id: EndpointId) -> None:
    """It works."""
    await connection.execute(
        """
        UPDATE webhook_endpoints SET failing_since = NULL
        WHERE owner_id = $1 AND id = $2 AND failing_since IS NOT NULL
        """,
        owner_id,
        endpoint_id,
    )


async def note_failure(connection: Connection, owner_id: AccountId, endpoint_id: EndpointId, dead_s: float) -> bool:
    """It failed. True where it has done nothing else for DEAD_S, and is on."""
    is_dead: bool | None = await connection.fetchval(
        """
        UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, clock_timestamp())
        WHERE owner_id = $1 AND id = $2 AND url IS NOT NULL AND is_enabled
        RETURNING failing_since < clock_timestamp() - make_interval(secs => $3)
        """,
        owner_id,
        endpoint_id,
        dead_s,
    )
    return bool(is_dead)


async def disable(connection: Connection, owner_id: AccountId, endpoint_id: EndpointId, reason: str) -> bool:
    """Turn an endpoint off. False where it is off, or is the default."""
    disabled = await connection.fetchval(
        """
        UPDATE webhook_endpoints SET is_enabled = false, disabled_reason = $3
        WHERE owner_id = $1 AND id = $2 AND url IS NOT NULL AND is_enabled RETURNING id
        """,
        owner_id,
        endpoint_id,
        reason,
    )
    return disabled is not None


# -- messages and deliveries -------------------------------------------------------------------------------------------


async def add_message(connection: Connection, owner_id: AccountId, message_id: str, type_: str, body: bytes) -> None:
    """An event as it is sent."""
    await connection.execute(
        "INSERT INTO webhook_messages (owner_id, id, type, body) VALUES ($1, $2, $3, $4)",
        owner_id,
        message_id,
        type_,
        body,
    )


async def add_deliveries(
    connection: Connection,
    owner_id: AccountId,
    message_id: str,
    rows: Sequence[tuple[DeliveryId, EndpointId, str | None]],
) -> None:
    """A message on its way: (id, endpoint, URL where it is not the endpoint's)."""
    await connection.execute(
        """
        INSERT INTO webhook_deliveries (owner_id, message_id, id, endpoint_id, url)
        SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[])
        """,
        owner_id,
        message_id,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )


_DELIVERY = """
    SELECT d.*, m.type, m.body, coalesce(d.url, e.url) AS leads_to, e.is_enabled, e.sealed, e.disabled_reason,
        CASE WHEN e.old_until > clock_timestamp() THEN e.old_sealed END AS old_sealed
    FROM webhook_deliveries d
    JOIN webhook_messages m ON m.id = d.message_id AND m.owner_id = d.owner_id
    JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.owner_id = d.owner_id
"""


async def find_delivery(connection: Connection, owner_id: AccountId, delivery_id: DeliveryId) -> asyncpg.Record | None:
    """An owner's delivery with its message, and what of its endpoint it needs."""
    return await connection.fetchrow(_DELIVERY + "WHERE d.owner_id = $1 AND d.id = $2", owner_id, delivery_id)


async def list_deliveries(
    connection: Connection, owner_id: AccountId, endpoint_id: EndpointId, before: DeliveryId | None, limit: int
) -> list[asyncpg.Record]:
    """The newest LIMIT deliveries to an endpoint that are older than BEFORE."""
    return await connection.fetch(
        _DELIVERY
        + """
        WHERE d.owner_id = $1 AND d.endpoint_id = $2 AND ($3::text IS NULL OR d.id < $3)
        ORDER BY d.id DESC LIMIT $4
        """,
        owner_id,
        endpoint_id,
        before,
        limit,
    )


async def write_attempt(
    connection: Connection,
    owner_id: AccountId,
    delivery_id: DeliveryId,
    *,
    state: str,
    attempt: str | None,
    next_at: datetime | None,
) -> None:
    """What came of a pending delivery: ATTEMPT, as JSON, is added to its log."""
    await connection.execute(
        """
        UPDATE webhook_deliveries
        SET state = $3, attempts = CASE WHEN $4::jsonb IS NULL THEN attempts ELSE attempts || $4::jsonb END,
            next_at = $5, finished_at = CASE WHEN $3 <> 'pending' THEN clock_timestamp() END
        WHERE owner_id = $1 AND id = $2 AND state = 'pending'
        """,
        owner_id,
        delivery_id,
        state,
        attempt,
        next_at,
    )


async def delete_old(connection: Connection, kept_s: float, rows_max: int) -> int:
    """Delete at most ROWS_MAX messages of all owners, with their deliveries, that are older than KEPT_S; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM webhook_messages WHERE id IN (
                SELECT id FROM webhook_messages WHERE created_at < clock_timestamp() - make_interval(secs => $1)
                ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        kept_s,
        rows_max,
    )
    return deleted


async def delete_excess(connection: Connection, owner_max: int, rows_max: int) -> int:
    """Of owners with more than OWNER_MAX messages, delete the oldest beyond it, ROWS_MAX at most; how many."""
    deleted: int = await connection.fetchval(
        """
        WITH counted AS (
            SELECT id, row_number() OVER (PARTITION BY owner_id ORDER BY id DESC) AS place
            FROM webhook_messages WHERE owner_id IN (
                SELECT owner_id FROM webhook_messages GROUP BY owner_id HAVING count(*) > $1
            )
        ), gone AS (
            DELETE FROM webhook_messages WHERE id IN (
                SELECT id FROM counted WHERE place > $1 ORDER BY place DESC LIMIT $2
            ) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        owner_max,
        rows_max,
    )
    return deleted
