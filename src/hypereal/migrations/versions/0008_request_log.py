"""The request log by days: what callers say of a call, what its upstream cost, sums by the hour, whole days dropped."""

# ruff: noqa: S608 (what is put together here are the names of columns, written above)

from alembic import op

revision = "0008"
down_revision = "0007"

# Rows go to the day that they began in; what fits no day (a clock that is off, a replay of a day that was dropped) goes
# to `usage_default`, so that writing a row never fails for want of a table.
USAGE = [
    "ALTER TABLE usage RENAME TO usage_before",
    "ALTER TABLE usage_before DROP CONSTRAINT usage_pkey",
    "DROP INDEX usage_owner, usage_upstream",
    """
    CREATE TABLE usage (
        LIKE usage_before INCLUDING CONSTRAINTS,
        end_user text,
        metadata jsonb,
        app text,
        price_version text,
        upstream_cost bigint,
        PRIMARY KEY (request_id, started_at)
    ) PARTITION BY RANGE (started_at)
    """,
    "CREATE INDEX usage_owner ON usage (owner_id, started_at, request_id)",
    "CREATE INDEX usage_failed ON usage (owner_id, started_at, request_id) WHERE status >= 400",
    "CREATE INDEX usage_end_user ON usage (owner_id, end_user, started_at, request_id) WHERE end_user IS NOT NULL",
    "CREATE INDEX usage_dearest ON usage (owner_id, charged) WHERE charged > 0",
    "CREATE INDEX usage_upstream ON usage (upstream_id) WHERE upstream_id IS NOT NULL",
    "CREATE TABLE usage_default PARTITION OF usage DEFAULT",
]

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
GROUP = "owner_id, hour, key_id, model, provider, app"
NAMES = ", ".join(line.split()[0] for line in SUMS.strip().splitlines())

# Each statement that writes rows appends what it adds to the sums of their hours: in its own transaction, so that no
# row counts twice or never, and without a lock that another writer could wait for. `fold_usage` adds these to the hours
# later; who reads takes both (`usage_sums`), so sums are exact at any moment. They outlive the rows.
HOURS = [
    f"""
    CREATE TABLE usage_hours (
        owner_id text COLLATE "C" NOT NULL,
        hour timestamptz NOT NULL,
        key_id text NOT NULL,
        model text NOT NULL,
        provider text NOT NULL,
        app text NOT NULL,
        {SUMS},
        PRIMARY KEY ({GROUP})
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX usage_hours_hour ON usage_hours (hour)",
    f"""
    CREATE TABLE usage_deltas (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL,
        hour timestamptz NOT NULL,
        key_id text NOT NULL,
        model text NOT NULL,
        provider text NOT NULL,
        app text NOT NULL,
        {SUMS}
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)
    """,
    f"""
    CREATE VIEW usage_sums AS
    SELECT {GROUP}, {NAMES} FROM usage_hours UNION ALL SELECT {GROUP}, {NAMES} FROM usage_deltas
    """,
    f"""
    CREATE FUNCTION usage_written() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO usage_deltas ({GROUP}, {NAMES})
        SELECT owner_id, date_trunc('hour', started_at, 'UTC'), key_id, model,
            coalesce(provider, ''), coalesce(app, ''),
            count(*), count(*) FILTER (WHERE status >= 400),
            sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens + cache_write_1h_tokens),
            sum(output_tokens), sum(reasoning_tokens), sum(web_searches),
            sum(cost), sum(charged), sum(coalesce(cache_saved, 0)),
            coalesce(sum(upstream_cost), 0), coalesce(sum(charged) FILTER (WHERE upstream_cost IS NOT NULL), 0),
            count(*) FILTER (WHERE upstream_cost IS NULL AND cost > 0),
            count(first_byte_ms), coalesce(sum(first_byte_ms), 0), sum(duration_ms)
        FROM written GROUP BY 1, 2, 3, 4, 5, 6;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER usage_written AFTER INSERT ON usage REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION usage_written()
    """,
    f"""
    CREATE FUNCTION fold_usage(p_rows_max bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
        v_taken bigint;
    BEGIN
        WITH taken AS (
            DELETE FROM usage_deltas WHERE id IN (
                SELECT id FROM usage_deltas ORDER BY id LIMIT p_rows_max FOR UPDATE SKIP LOCKED
            ) RETURNING *
        ), folded AS (
            INSERT INTO usage_hours AS h ({GROUP}, {NAMES})
            SELECT {GROUP}, {", ".join(f"sum({name})" for name in NAMES.split(", "))}
            FROM taken GROUP BY {GROUP} ORDER BY {GROUP}
            ON CONFLICT ({GROUP}) DO UPDATE
            SET {", ".join(f"{name} = h.{name} + excluded.{name}" for name in NAMES.split(", "))}
        )
        SELECT count(*) INTO v_taken FROM taken;
        RETURN v_taken;
    END $$
    """,
]

# What the audit needs of rows that are gone: their sums by owner. `until`: from then on all rows are there.
DROPPED = [
    """
    CREATE TABLE usage_dropped (
        owner_id text COLLATE "C" PRIMARY KEY,
        calls bigint NOT NULL,
        charged bigint NOT NULL,
        written_off bigint NOT NULL,
        until timestamptz NOT NULL
    )
    """,
    """
    CREATE VIEW usage_ever AS
    SELECT owner_id, charged, written_off FROM usage
    UNION ALL SELECT owner_id, charged, written_off FROM usage_dropped
    """,
]

# A day's table is filled with what waits for it and attached. Writers of other days wait for nothing.
MAKE_DAY = """
CREATE FUNCTION usage_make_day(p_day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_name text := 'usage_' || to_char(p_day, 'YYYYMMDD');
    v_from timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
    v_to timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY usage IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE usage_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE usage INCLUDING CONSTRAINTS)', v_name);
    EXECUTE format('
        WITH moved AS (DELETE FROM usage_default WHERE started_at >= %L AND started_at < %L RETURNING *)
        INSERT INTO %I SELECT * FROM moved', v_from, v_to, v_name);
    EXECUTE format('ALTER TABLE usage ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', v_name, v_from, v_to);
    RETURN true;
END $$
"""

# The sums of a day's rows are kept, then its table is dropped, in one transaction.
DROP_DAY = """
CREATE FUNCTION usage_drop_day(p_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_name text := 'usage_' || to_char(p_day, 'YYYYMMDD');
    v_to timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', v_name);
    EXECUTE format('
        INSERT INTO usage_dropped AS d (owner_id, calls, charged, written_off, until)
        SELECT owner_id, count(*), sum(charged), sum(written_off), %L FROM %I GROUP BY owner_id ORDER BY owner_id
        ON CONFLICT (owner_id) DO UPDATE SET
            calls = d.calls + excluded.calls, charged = d.charged + excluded.charged,
            written_off = d.written_off + excluded.written_off, until = greatest(d.until, excluded.until)',
        v_to, v_name);
    EXECUTE format('DROP TABLE %I', v_name);
END $$
"""

# Existing rows are written again, which also sums them up. Days beyond tomorrow are made once the server runs.
KEEP = [
    """
    SELECT usage_make_day(day) FROM (
        SELECT DISTINCT (started_at AT TIME ZONE 'UTC')::date AS day FROM usage_before
        UNION SELECT (now() AT TIME ZONE 'UTC')::date + ahead FROM generate_series(0, 1) AS ahead
    ) days WHERE day <= (now() AT TIME ZONE 'UTC')::date + 1 ORDER BY day
    """,
    "INSERT INTO usage SELECT * FROM usage_before",
    "DROP TABLE usage_before",
    "ANALYZE usage",
    "SELECT fold_usage(9223372036854775807)",
]


def upgrade() -> None:
    """Tables, functions, and the rows that were there."""
    for statement in [*USAGE, *HOURS, *DROPPED, MAKE_DAY, DROP_DAY, *KEEP]:
        op.execute(statement)
