"""Rows of the request log, written as the ledger writes them, and the sums that they should come to."""

from collections.abc import Sequence

import msgspec

from hypereal.kit.db import Connection, Database
from hypereal.kit.usage import Usage
from hypereal.ledger import UsageRow
from hypereal.ledger.rows import document, facts, record

SUMS = {
    "calls": "count(*)",
    "errors": "count(*) FILTER (WHERE status >= 400)",
    "input_tokens": "sum(input_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "cache_write_tokens": "sum(cache_write_tokens + cache_write_1h_tokens)",
    "output_tokens": "sum(output_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "web_searches": "sum(web_searches)",
    "cost": "sum(cost)",
    "charged": "sum(charged)",
    "cache_saved": "coalesce(sum(cache_saved), 0)",
    "upstream_cost": "coalesce(sum(upstream_cost), 0)",
    "upstream_charged": "coalesce(sum(charged) FILTER (WHERE upstream_cost IS NOT NULL), 0)",
    "upstream_unknown": "count(*) FILTER (WHERE upstream_cost IS NULL AND cost > 0)",
    "first_bytes": "count(first_byte_ms)",
    "first_byte_ms": "coalesce(sum(first_byte_ms), 0)",
    "duration_ms": "sum(duration_ms)",
}
GROUP = "owner_id, date_trunc('hour', started_at, 'UTC'), key_id, model, coalesce(provider, ''), coalesce(app, '')"


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One row and its money."""

    row: UsageRow
    usage: Usage = Usage()
    cost: int = 0
    charged: int = 0


async def write(connection: Connection, logged: Sequence[Logged]) -> None:
    """As one batch of a data process; what is there already stays."""
    lines = [record(facts(one.row, one.usage), one.cost, one.charged) for one in logged]
    await connection.execute(
        "INSERT INTO usage SELECT * FROM json_populate_recordset(usage_blank(), $1::json) ON CONFLICT DO NOTHING",
        document(lines),
    )


async def sums_of_rows(database: Database) -> list[tuple[object, ...]]:
    """What the sums of the hours should be."""
    columns = ", ".join(SUMS.values())
    async with database.connection() as connection:
        rows = await connection.fetch(f"SELECT {GROUP}, {columns} FROM usage GROUP BY 1, 2, 3, 4, 5, 6")
    return sorted(map(tuple, rows))


async def sums_of_hours(database: Database) -> list[tuple[object, ...]]:
    """What they are, whatever was folded so far."""
    columns = ", ".join(f"sum({name})" for name in SUMS)
    async with database.connection() as connection:
        rows = await connection.fetch(
            f"SELECT owner_id, hour, key_id, model, provider, app, {columns} FROM usage_sums GROUP BY 1, 2, 3, 4, 5, 6"
        )
    return sorted(map(tuple, rows))
