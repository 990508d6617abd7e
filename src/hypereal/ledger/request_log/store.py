"""All SQL of the request log: its upkeep, whose functions are in migration 0008, and what is read of it."""
# ruff: noqa: S608 (queries are put together of texts that stand here)

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, KeyId

MOMENT = timedelta(microseconds=1)
LOCK_MS_MAX = 200
"""How long a change of the tables may wait, and let writers wait behind it."""
QUERY_MS_MAX = 20_000
"""How long a caller's search may take."""
QUERY_MEMORY = "32MB"
"""What it may sort and sum up in memory; beyond, on the disk."""


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


async def drop_sums(connection: Connection, before: datetime, rows_max: int) -> int:
    """Delete at most ROWS_MAX each of the sums of hours and days before BEFORE whose rows are gone.

    How many it were of the kind of which it were most.
    """
    dropped: int = await connection.fetchval(
        """
        WITH before AS (
            SELECT least($1, (SELECT coalesce(max(until), '-infinity') FROM usage_dropped)) AS hour
        ), hours AS (
            DELETE FROM usage_hours WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM usage_hours WHERE hour < (SELECT hour FROM before) LIMIT $2 FOR UPDATE SKIP LOCKED
            )) RETURNING 1
        ), days AS (
            DELETE FROM usage_days WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM usage_days WHERE day < (SELECT (hour AT TIME ZONE 'UTC')::date FROM before)
                LIMIT $2 FOR UPDATE SKIP LOCKED
            )) RETURNING 1
        ), models AS (
            DELETE FROM usage_model_days WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM usage_model_days WHERE day < (SELECT (hour AT TIME ZONE 'UTC')::date FROM before)
                LIMIT $2 FOR UPDATE SKIP LOCKED
            )) RETURNING 1
        )
        SELECT greatest((SELECT count(*) FROM hours), (SELECT count(*) FROM days), (SELECT count(*) FROM models))
        """,
        before,
        rows_max,
    )
    return dropped


async def drop_words(connection: Connection, before: date, rows_max: int) -> int:
    """Delete at most ROWS_MAX sums of what calls before BEFORE said; how many it were."""
    dropped: int = await connection.fetchval(
        """
        WITH gone AS (
            DELETE FROM usage_words WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM usage_words WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            )) RETURNING 1
        ) SELECT count(*) FROM gone
        """,
        before,
        rows_max,
    )
    return dropped


async def merge_users(
    connection: Connection, since: date, fresh: date, users_max: tuple[int, int], rows_max: int
) -> int:
    """Of each owner and day since SINCE, add the cheapest users to those beyond, ROWS_MAX in all; how many it were.

    So many stay: the first of USERS_MAX of a day before FRESH, the second of FRESH and later, which still grow.
    """
    merged: int = await connection.fetchval(
        """
        WITH ranked AS (
            SELECT ctid, day, row_number() OVER (PARTITION BY owner_id, day ORDER BY charged DESC, word) AS place
            FROM usage_words WHERE kind = 'user' AND word <> '' AND day >= $1
        ), gone AS (
            DELETE FROM usage_words WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM ranked WHERE place > CASE WHEN day < $2 THEN $3::bigint ELSE $4 END LIMIT $5
            )) RETURNING owner_id, day, calls, charged
        ), kept AS (
            INSERT INTO usage_words AS w (owner_id, kind, day, word, calls, charged)
            SELECT owner_id, 'users_beyond', day, '', sum(calls), sum(charged)
            FROM gone GROUP BY owner_id, day ORDER BY owner_id, day
            ON CONFLICT (owner_id, kind, day, word) DO UPDATE
            SET calls = w.calls + excluded.calls, charged = w.charged + excluded.charged
        ) SELECT count(*) FROM gone
        """,
        since,
        fresh,
        *users_max,
        rows_max,
    )
    return merged


async def differences(connection: Connection, rows_max: int) -> list[asyncpg.Record]:
    """(what, subject, recorded, summed) where the sums of hours and days are not those of the rows. In one snapshot.

    Only as far back as all rows are there.
    """
    return await connection.fetch(
        """
        WITH since AS (
            SELECT coalesce(max(until), '-infinity') AS at FROM usage_dropped
        ), summed AS (
            SELECT 'hours' AS of, owner_id, sum(calls) AS calls, sum(charged) AS charged, sum(cost) AS cost
            FROM usage_sums, since WHERE hour >= since.at GROUP BY owner_id
            UNION ALL SELECT 'days', owner_id, sum(calls), sum(charged), sum(cost)
            FROM usage_day_sums, since WHERE day >= (since.at AT TIME ZONE 'UTC')::date GROUP BY owner_id
            UNION ALL SELECT 'models', 'house', sum(calls), sum(charged), sum(cost)
            FROM usage_model_sums, since WHERE day >= (since.at AT TIME ZONE 'UTC')::date
        ), rows AS MATERIALIZED (
            SELECT owner_id, count(*) AS calls, sum(charged) AS charged, sum(cost) AS cost
            FROM usage, since WHERE started_at >= since.at GROUP BY owner_id
        ), logged AS (
            SELECT of, owner_id, calls, charged, cost FROM rows, (VALUES ('hours'), ('days')) AS sums (of)
            UNION ALL SELECT 'models', 'house', sum(calls), sum(charged), sum(cost)
            FROM rows
        ), compared AS (
            SELECT owner_id, of || ': ' || each.what AS what,
                coalesce(each.recorded, 0)::bigint AS recorded, coalesce(each.summed, 0)::bigint AS summed
            FROM summed s FULL JOIN logged l USING (of, owner_id), LATERAL (VALUES
                ('calls of usage rows', s.calls, l.calls),
                ('charges of usage rows', s.charged, l.charged),
                ('costs of usage rows', s.cost, l.cost)
            ) AS each (what, recorded, summed)
        )
        SELECT what, owner_id AS subject, recorded, summed FROM compared
        WHERE recorded <> summed ORDER BY what, owner_id LIMIT $1
        """,
        rows_max,
    )


# -- reading -----------------------------------------------------------------------------------------------------------


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are wanted. None: any. The order of the fields is that of the parameters from $2 on."""

    since: datetime
    until: datetime
    model: str | None = None
    key_id: str | None = None
    provider: str | None = None
    app: str | None = None
    endpoint: str | None = None
    end_user: str | None = None
    status_least: int | None = None
    status_most: int | None = None
    tags: str | None = None
    """A JSON object: rows that have these tags."""
    request_id: str | None = None
    text: str | None = None
    """Stands somewhere in what names the call, in any case."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A row's place in the order of time."""

    started_at: datetime
    request_id: str


_SUMS_MATCH = """
    owner_id = $1 AND day >= ($2::timestamptz AT TIME ZONE 'UTC')::date
    AND day <= ($3::timestamptz AT TIME ZONE 'UTC')::date
    AND ($4::text IS NULL OR model = $4) AND ($5::text IS NULL OR key_id = $5)
    AND ($6::text IS NULL OR provider = $6) AND ($7::text IS NULL OR app = $7)
"""
_ROWS_MATCH = """
    owner_id = $1 AND started_at >= $2 AND started_at < $3
    AND ($4::text IS NULL OR model = $4) AND ($5::text IS NULL OR key_id = $5)
    AND ($6::text IS NULL OR provider = $6) AND ($7::text IS NULL OR app = $7)
    AND ($8::text IS NULL OR endpoint = $8) AND ($9::text IS NULL OR end_user = $9)
    AND ($10::int IS NULL OR status >= $10) AND ($11::int IS NULL OR status <= $11)
    AND ($12::jsonb IS NULL OR metadata @> $12) AND ($13::text IS NULL OR request_id = $13)
    AND ($14::text IS NULL OR strpos(lower(concat_ws(
        ' ', request_id, model, provider, error_type, end_user, app, client, metadata::text)), lower($14)) > 0)
"""
_ROW = """
    request_id, started_at, key_id, endpoint, dialect, model, provider, target, status, error_type, is_stream, attempts,
    tried, first_byte_ms, duration_ms, client, end_user, metadata, app, price_version, input_tokens, cache_read_tokens,
    cache_write_tokens + cache_write_1h_tokens AS cache_write_tokens, output_tokens, reasoning_tokens, web_searches,
    is_estimated, charged, cache_saved
"""
_COUNTS = (
    *("calls", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "charged"),
    *("cache_saved", "duration_ms", "first_bytes", "first_byte_ms"),
)
NEWEST_FIRST = f"""
    SELECT {_ROW} FROM usage WHERE {_ROWS_MATCH} AND (started_at, request_id) < ($15, $16)
    ORDER BY started_at DESC, request_id DESC LIMIT $17
"""
OLDEST_FIRST = f"""
    SELECT {_ROW} FROM usage WHERE {_ROWS_MATCH} AND (started_at, request_id) > ($15, $16)
    ORDER BY started_at, request_id LIMIT $17
"""
DEAREST_FIRST = f"""
    SELECT {_ROW} FROM usage WHERE {_ROWS_MATCH} AND charged > 0 ORDER BY charged DESC LIMIT $15
"""
# The words that cost most, then all others together. '' is none, in whatever it stands.
_DEAREST_WORDS = """
    ), ranked AS (
        SELECT word, calls, charged, is_rest,
            is_rest OR row_number() OVER (ORDER BY is_rest, charged DESC, calls DESC, word) > {limit} AS is_beyond
        FROM words
    )
    SELECT nullif(CASE WHEN NOT is_beyond THEN word END, '') AS word, is_beyond AS is_rest,
        sum(calls)::bigint AS calls, sum(charged)::bigint AS charged
    FROM ranked GROUP BY is_beyond, CASE WHEN NOT is_beyond THEN word END ORDER BY 2, 4 DESC, 3 DESC, 1
"""
BY_WORD_OF_ROWS = f"""
    WITH words AS (
        SELECT coalesce(CASE $15 WHEN 'user' THEN end_user WHEN 'endpoint' THEN endpoint WHEN 'provider' THEN provider
            WHEN 'app' THEN app WHEN 'status' THEN status::text ELSE metadata ->> $16 END, '') AS word,
            count(*) AS calls, sum(charged) AS charged, false AS is_rest
        FROM usage WHERE {_ROWS_MATCH} GROUP BY 1
    """ + _DEAREST_WORDS.format(limit="$17")
BY_WORD_OF_DAYS = f"""
    WITH words AS (
        SELECT CASE $8 WHEN 'provider' THEN provider ELSE app END AS word,
            sum(calls) AS calls, sum(charged) AS charged, false AS is_rest
        FROM usage_day_sums WHERE {_SUMS_MATCH} GROUP BY 1
    """ + _DEAREST_WORDS.format(limit="$9")
BY_WORD_OF_WORDS = """
    WITH words AS (
        SELECT word, sum(calls) AS calls, sum(charged) AS charged, kind = 'users_beyond' AS is_rest
        FROM usage_word_sums
        WHERE owner_id = $1 AND kind = ANY (CASE $4 WHEN 'user' THEN '{user,users_beyond}' ELSE ARRAY[$4] END::text[])
            AND day >= ($2::timestamptz AT TIME ZONE 'UTC')::date
            AND day <= ($3::timestamptz AT TIME ZONE 'UTC')::date
        GROUP BY 1, 4
    """ + _DEAREST_WORDS.format(limit="$5")
# In two steps: the days of keys are many, and of what they add up to there is little.
SUMS = f"""
    WITH days AS MATERIALIZED (
        SELECT model, key_id, app, day, {", ".join(f"sum({name}) AS {name}" for name in _COUNTS)}
        FROM usage_day_sums WHERE {_SUMS_MATCH} GROUP BY 1, 2, 3, 4
    )
    SELECT model, key_id, app, day, grouping(model, key_id, app, day) AS kind,
        {", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in _COUNTS)}
    FROM days GROUP BY GROUPING SETS ((model), (key_id), (app), (day), ()) ORDER BY charged DESC
"""
WORDS_SUMMED = frozenset({"user", "endpoint", "status"})
OF_MODEL, OF_KEY, OF_APP, OF_DAY, OF_ALL = 0b0111, 0b1011, 0b1101, 0b1110, 0b1111
"""`kind` of a row of `sums`: by what it is summed up."""


async def newest(
    connection: Connection, owner_id: AccountId, match: Match, before: Place, limit: int
) -> list[asyncpg.Record]:
    """The owner's LIMIT rows that come before BEFORE, the newest first. Later days are not looked into."""
    match = msgspec.structs.replace(match, until=min(match.until, before.started_at + MOMENT))
    return await _planned(connection, NEWEST_FIRST, owner_id, *_values(match), *_values(before), limit)


async def find(connection: Connection, owner_id: AccountId, request_id: str) -> asyncpg.Record | None:
    """The owner's row of this id. Each day's table is looked into by its key."""
    return await connection.fetchrow(
        f"SELECT {_ROW} FROM usage WHERE request_id = $1 AND owner_id = $2", request_id, owner_id
    )


async def oldest(
    connection: Connection, owner_id: AccountId, match: Match, after: Place, limit: int
) -> list[asyncpg.Record]:
    """The owner's LIMIT rows that come after AFTER, the oldest first. Earlier days are not looked into."""
    match = msgspec.structs.replace(match, since=max(match.since, after.started_at))
    return await _planned(connection, OLDEST_FIRST, owner_id, *_values(match), *_values(after), limit)


async def dearest(connection: Connection, owner_id: AccountId, match: Match, limit: int) -> list[asyncpg.Record]:
    """The owner's LIMIT rows that were charged most."""
    return await _planned(connection, DEAREST_FIRST, owner_id, *_values(match), limit)


async def by_word(
    connection: Connection, owner_id: AccountId, match: Match, of: tuple[str, str], limit: int
) -> list[asyncpg.Record]:
    """(word, is_rest, calls, charged) of the owner's calls, by one of what they say: the LIMIT dearest, then the rest.

    OF is (its name, or '' and a tag's name). Sums know of users, endpoints and statuses of all the owner's calls, and
    of providers and apps by what else sums know of; everything else is added up from the rows, which takes long.
    """
    name, values = of[0], _values(match)
    if not any(value is not None for value in values[2:]) and name in WORDS_SUMMED:
        return await _planned(connection, BY_WORD_OF_WORDS, owner_id, *values[:2], name, limit)
    if not any(value is not None for value in values[6:]) and name in ("provider", "app"):
        return await _planned(connection, BY_WORD_OF_DAYS, owner_id, *values[:6], name, limit)
    return await _planned(connection, BY_WORD_OF_ROWS, owner_id, *values, *of, limit)


async def sums(connection: Connection, owner_id: AccountId, match: Match) -> list[asyncpg.Record]:
    """The owner's sums of days by model, key, app and day, and in all, the dearest first; narrowed by these only."""
    return await _planned(connection, SUMS, owner_id, *_values(match)[:6])


async def spent(connection: Connection, owner_id: AccountId, keys: Sequence[KeyId], since: date) -> dict[KeyId, int]:
    """What was charged to calls with the owner's KEYS that began on SINCE or later; keys without any are missing."""
    rows = await connection.fetch(
        """
        SELECT key_id, sum(charged)::bigint AS charged FROM usage_day_sums
        WHERE owner_id = $1 AND key_id = ANY ($2) AND day >= $3 GROUP BY key_id
        """,
        owner_id,
        keys,
        since,
    )
    return {KeyId(row["key_id"]): row["charged"] for row in rows}


async def profit(connection: Connection, since: datetime, until: datetime) -> list[asyncpg.Record]:
    """Of all owners, for operators: what each model at each provider brought and cost, micro-credits."""
    return await connection.fetch(
        """
        SELECT model, provider, sum(calls)::bigint AS calls, sum(errors)::bigint AS errors,
            sum(input_tokens + cache_read_tokens + cache_write_tokens)::bigint AS input_tokens,
            sum(output_tokens)::bigint AS output_tokens, sum(charged)::bigint AS charged,
            sum(upstream_cost)::bigint AS upstream_cost, sum(upstream_charged)::bigint AS upstream_charged,
            sum(upstream_unknown)::bigint AS upstream_unknown
        FROM usage_model_sums
        WHERE day >= ($1::timestamptz AT TIME ZONE 'UTC')::date AND day <= ($2::timestamptz AT TIME ZONE 'UTC')::date
        GROUP BY model, provider ORDER BY charged DESC, model, provider
        """,
        since,
        until,
    )


def _values(struct: msgspec.Struct) -> tuple[Any, ...]:
    return msgspec.structs.astuple(struct)


async def _planned(connection: Connection, query: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of QUERY, planned for these ARGUMENTS, so that of filters that are not given nothing is left."""
    async with connection.transaction(readonly=True):
        await connection.execute(
            """
            SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('statement_timeout', $1, true),
                set_config('work_mem', $2, true)
            """,
            str(QUERY_MS_MAX),
            QUERY_MEMORY,
        )
        return await connection.fetch(query, *arguments)
