"""Sums by the day beside those by the hour: of keys, models and apps, of all owners' models, and of what calls say."""

# ruff: noqa: S608 (what is put together here are the names of columns, written above)

from alembic import op

revision = "0014"
down_revision = "0013"

SUMS = """
    calls bigint NOT NULL,
    errors bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    web_searches bigint NOT NULL,
    cost bigint NOT NULL,
    charged bigint NOT NULL,
    cache_saved bigint NOT NULL,
    upstream_cost bigint NOT NULL,
    upstream_charged bigint NOT NULL,
    upstream_unknown bigint NOT NULL,
    first_bytes bigint NOT NULL,
    first_byte_ms bigint NOT NULL,
    duration_ms bigint NOT NULL
"""
NAMES = [line.split()[0] for line in SUMS.strip().splitlines()]
LISTED = ", ".join(NAMES)
SUMMED = ", ".join(f"sum({name})" for name in NAMES)
DAY = "(hour AT TIME ZONE 'UTC')::date"
OF_HOUR = "owner_id, hour, key_id, model, provider, app"
OF_DAY = "owner_id, day, key_id, model, provider, app"
OF_MODEL = "day, model, provider"
OF_WORD = "owner_id, kind, day, word"
WORDS = "('user', end_user), ('endpoint', endpoint), ('status', status::text)"


def _dated(names: str) -> str:
    """NAMES of a table that knows only hours."""
    return names.replace("day", DAY)


def _add(alias: str, names: list[str]) -> str:
    return ", ".join(f"{name} = {alias}.{name} + excluded.{name}" for name in names)


TABLES = [
    "SELECT fold_usage(9223372036854775807)",
    """
    ALTER TABLE usage_deltas
        ADD COLUMN end_user text NOT NULL,
        ADD COLUMN endpoint text NOT NULL,
        ADD COLUMN status integer NOT NULL
    """,
    f"""
    CREATE TABLE usage_days (
        owner_id text COLLATE "C" NOT NULL,
        day date NOT NULL,
        key_id text NOT NULL,
        model text NOT NULL,
        provider text NOT NULL,
        app text NOT NULL,
        {SUMS},
        PRIMARY KEY ({OF_DAY})
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX usage_days_day ON usage_days (day)",
    # Of all owners together, for operators: few rows, however many owners there are.
    f"""
    CREATE TABLE usage_model_days (
        day date NOT NULL,
        model text NOT NULL,
        provider text NOT NULL,
        {SUMS},
        PRIMARY KEY ({OF_MODEL})
    ) WITH (fillfactor = 50)
    """,
    # What calls say, each by itself. `kind` is 'user', 'endpoint', 'status', or 'users_beyond' for the users of a day
    # that are not told apart any more. '': they said nothing. Dropped with the rows.
    f"""
    CREATE TABLE usage_words (
        owner_id text COLLATE "C" NOT NULL,
        kind text NOT NULL,
        day date NOT NULL,
        word text NOT NULL,
        calls bigint NOT NULL,
        charged bigint NOT NULL,
        PRIMARY KEY ({OF_WORD})
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX usage_words_day ON usage_words (day)",
    f"""
    CREATE VIEW usage_day_sums AS
    SELECT {OF_DAY}, {LISTED} FROM usage_days UNION ALL SELECT {_dated(OF_DAY)}, {LISTED} FROM usage_deltas
    """,
    f"""
    CREATE VIEW usage_model_sums AS
    SELECT {OF_MODEL}, {LISTED} FROM usage_model_days UNION ALL SELECT {_dated(OF_MODEL)}, {LISTED} FROM usage_deltas
    """,
    f"""
    CREATE VIEW usage_word_sums AS
    SELECT {OF_WORD}, calls, charged FROM usage_words
    UNION ALL SELECT owner_id, of.kind, {DAY}, of.word, calls, charged
    FROM usage_deltas, LATERAL (VALUES {WORDS}) AS of (kind, word)
    """,
]

# As in 0008, and by what calls say too: a delta more only where calls of one batch say different things.
WRITTEN = f"""
CREATE OR REPLACE FUNCTION usage_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_deltas ({OF_HOUR}, end_user, endpoint, status, {LISTED})
    SELECT owner_id, date_trunc('hour', started_at, 'UTC'), key_id, model,
        coalesce(provider, ''), coalesce(app, ''), coalesce(end_user, ''), endpoint, status,
        count(*), count(*) FILTER (WHERE status >= 400),
        sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens + cache_write_1h_tokens),
        sum(output_tokens), sum(reasoning_tokens), sum(web_searches),
        sum(cost), sum(charged), sum(coalesce(cache_saved, 0)),
        coalesce(sum(upstream_cost), 0), coalesce(sum(charged) FILTER (WHERE upstream_cost IS NOT NULL), 0),
        count(*) FILTER (WHERE upstream_cost IS NULL AND cost > 0),
        count(first_byte_ms), coalesce(sum(first_byte_ms), 0), sum(duration_ms)
    FROM written GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
    RETURN NULL;
END $$
"""

# Rows are changed in the order of their keys, so that two who fold do not wait in a ring. Deltas are found by where
# they lie: as a join with itself, a table that statistics take for empty was walked through once for each of its rows.
FOLD = f"""
CREATE OR REPLACE FUNCTION fold_usage(p_rows_max bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_taken bigint;
BEGIN
    WITH taken AS (
        DELETE FROM usage_deltas WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM usage_deltas ORDER BY id LIMIT p_rows_max FOR UPDATE SKIP LOCKED
        )) RETURNING *
    ), by_hour AS MATERIALIZED (
        SELECT {OF_HOUR}, {DAY} AS day, {", ".join(f"sum({name})::bigint AS {name}" for name in NAMES)}
        FROM taken GROUP BY {OF_HOUR}
    ), hours AS (
        INSERT INTO usage_hours AS h ({OF_HOUR}, {LISTED})
        SELECT {OF_HOUR}, {LISTED} FROM by_hour ORDER BY {OF_HOUR}
        ON CONFLICT ({OF_HOUR}) DO UPDATE SET {_add("h", NAMES)}
    ), days AS (
        INSERT INTO usage_days AS d ({OF_DAY}, {LISTED})
        SELECT {OF_DAY}, {SUMMED} FROM by_hour GROUP BY {OF_DAY} ORDER BY {OF_DAY}
        ON CONFLICT ({OF_DAY}) DO UPDATE SET {_add("d", NAMES)}
    ), models AS (
        INSERT INTO usage_model_days AS m ({OF_MODEL}, {LISTED})
        SELECT {OF_MODEL}, {SUMMED} FROM by_hour GROUP BY {OF_MODEL} ORDER BY {OF_MODEL}
        ON CONFLICT ({OF_MODEL}) DO UPDATE SET {_add("m", NAMES)}
    ), words AS (
        INSERT INTO usage_words AS w ({OF_WORD}, calls, charged)
        SELECT owner_id, of.kind, {DAY}, of.word, sum(calls), sum(charged)
        FROM taken, LATERAL (VALUES {WORDS}) AS of (kind, word)
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT ({OF_WORD}) DO UPDATE SET {_add("w", ["calls", "charged"])}
    )
    SELECT count(*) INTO v_taken FROM taken;
    RETURN v_taken;
END $$
"""

KEEP = [
    f"INSERT INTO usage_days ({OF_DAY}, {LISTED})"
    f" SELECT owner_id, (hour AT TIME ZONE 'UTC')::date, key_id, model, provider, app, {SUMMED}"
    " FROM usage_hours GROUP BY 1, 2, 3, 4, 5, 6",
    f"INSERT INTO usage_model_days ({OF_MODEL}, {LISTED})"
    f" SELECT {OF_MODEL}, {SUMMED} FROM usage_days GROUP BY {OF_MODEL}",
    f"""
    INSERT INTO usage_words ({OF_WORD}, calls, charged)
    SELECT owner_id, of.kind, (started_at AT TIME ZONE 'UTC')::date, of.word, count(*), sum(charged)
    FROM usage, LATERAL (VALUES ('user', coalesce(end_user, '')), ('endpoint', endpoint), ('status', status::text))
        AS of (kind, word)
    GROUP BY 1, 2, 3, 4
    """,
]


def upgrade() -> None:
    """Tables, what writes them, and what there is so far."""
    for statement in [*TABLES, WRITTEN, FOLD, *KEEP]:
        op.execute(statement)
