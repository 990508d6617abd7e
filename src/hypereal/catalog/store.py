"""All SQL of the catalog: prices that were set here. The models themselves are in files."""

from datetime import datetime

import asyncpg

from hypereal.kit.db import Connection

CHANNEL = "prices"
"""A notice comes here after every change (migration 0009)."""


async def add_price(
    connection: Connection, model: str, price: str | None, valid_from: datetime | None, facts: tuple[str, str]
) -> asyncpg.Record | None:
    """A price of MODEL from VALID_FROM on (None: now), with FACTS (by whom, note). None where that is past."""
    return await connection.fetchrow(
        """
        INSERT INTO price_versions (model, price, valid_from, created_by, note)
        SELECT $1, $2::jsonb, coalesce($3, now()), $4, $5 WHERE $3::timestamptz IS NULL OR $3 > now()
        RETURNING id, model, price, valid_from, created_by, note, created_at
        """,
        model,
        price,
        valid_from,
        *facts,
    )


async def list_prices(connection: Connection, model: str, limit: int) -> list[asyncpg.Record]:
    """The last LIMIT prices of MODEL, the newest first."""
    return await connection.fetch(
        """
        SELECT id, model, price, valid_from, created_by, note, created_at
        FROM price_versions WHERE model = $1 ORDER BY valid_from DESC, id DESC LIMIT $2
        """,
        model,
        limit,
    )


async def current_prices(connection: Connection, at: datetime, limit: int) -> list[asyncpg.Record]:
    """Of each model the price in force AT that moment, and those that follow; at most LIMIT, in the order of time."""
    return await connection.fetch(
        """
        SELECT id, model, price, valid_from, created_by, note, created_at FROM (
            SELECT DISTINCT ON (model) * FROM price_versions WHERE valid_from <= $1
            ORDER BY model, valid_from DESC, id DESC
        ) in_force
        UNION ALL
        SELECT id, model, price, valid_from, created_by, note, created_at FROM price_versions WHERE valid_from > $1
        ORDER BY valid_from, id LIMIT $2
        """,
        at,
        limit,
    )


async def delete_coming_price(connection: Connection, model: str, price_id: int) -> bool:
    """False where MODEL has no such price, or it is or was in force."""
    deleted = await connection.fetchval(
        "DELETE FROM price_versions WHERE model = $1 AND id = $2 AND valid_from > now() RETURNING id", model, price_id
    )
    return deleted is not None
