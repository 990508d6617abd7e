"""Rows of the request log, written as the ledger writes them, and the sums that they should come to."""

from collections.abc import Sequence

import msgspec

from hypereal.kit.db import Connection, Database
from hypereal.kit.usage import Usage
from hypereal.ledger import UsageRow
from hypereal.ledger.rows import document, record

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
DAY = "(started_at AT TIME ZONE 'UTC')::date"
OF = {
    "usage_sums": ("owner_id", "hour", "key_id", "model", "provider", "app"),
    "usage_day_sums": ("owner_id", "day", "key_id", "model", "provider", "app"),
    "usage_model_sums": ("day", "model", "provider"),
}
"""The views of sums, and by what each adds up."""
OF_ROWS = {
    "hour": "date_trunc('hour', started_at, 'UTC')",
    "day": DAY,
    "provider": "coalesce(provider, '')",
    "app": "coalesce(app, '')",
}
WORDS = {"user": "coalesce(end_user, '')", "endpoint": "endpoint", "status": "status::text"}


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One row and its money."""

    row: UsageRow
    usage: Usage = Usage()
    cost: int = 0
    charged: int = 0


async def write(connection: Connection, logged: Sequence[Logged]) -> None:
    """As one batch of a data process; what is there already stays."""
    lines = [record(one.row, one.usage, one.cost, one.charged) for one in logged]
    await connection.execute(
        "INSERT INTO usage SELECT * FROM json_populate_recordset(usage_blank(), $1::json) ON CONFLICT DO NOTHING",
        document(lines),
    )


async def sums_of_rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """What the sums should be, by their view."""
    async with database.connection() as connection:
        found = {}
        for view, names in OF.items():
            group = ", ".join(OF_ROWS.get(name, name) for name in names)
            places = ", ".join(str(number + 1) for number in range(len(names)))
            found[view] = await connection.fetch(
                f"SELECT {group}, {', '.join(SUMS.values())} FROM usage GROUP BY {places}"
            )
        words = [
            f"SELECT owner_id, '{kind}', {DAY}, {of}, count(*), sum(charged) FROM usage GROUP BY 1, 2, 3, 4"
            for kind, of in WORDS.items()
        ]
        found["usage_word_sums"] = await connection.fetch(" UNION ALL ".join(words))
    return {view: sorted(map(tuple, rows)) for view, rows in found.items()}


async def sums_of_views(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """What they are, whatever was folded so far."""
    async with database.connection() as connection:
        found = {}
        for view, names in OF.items():
            group, columns = ", ".join(names), ", ".join(f"sum({name})" for name in SUMS)
            found[view] = await connection.fetch(f"SELECT {group}, {columns} FROM {view} GROUP BY {group}")
        found["usage_word_sums"] = await connection.fetch(
            "SELECT owner_id, kind, day, word, sum(calls), sum(charged) FROM usage_word_sums GROUP BY 1, 2, 3, 4"
        )
    return {view: sorted(map(tuple, rows)) for view, rows in found.items()}
