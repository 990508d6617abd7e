"""The first tables: accounts and keys, wallets and their ledger, usage, rate windows."""

from alembic import op

revision = "0001"
down_revision = None

CLUSTER = [
    # One row: which database this is. What was written for one cluster is never replayed into another.
    "CREATE TABLE cluster (id uuid PRIMARY KEY DEFAULT gen_random_uuid())",
    "CREATE UNIQUE INDEX cluster_has_one_row ON cluster ((true))",
    "INSERT INTO cluster DEFAULT VALUES",
]

ACCOUNTS = [
    """
    CREATE TABLE accounts (
        id text COLLATE "C" PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('person', 'organization', 'house')),
        name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "INSERT INTO accounts (id, kind, name) VALUES ('acc_house', 'house', 'The house')",
    """
    CREATE TABLE users (
        id text COLLATE "C" PRIMARY KEY,
        account_id text COLLATE "C" NOT NULL UNIQUE REFERENCES accounts,
        email text NOT NULL,
        password_hash text,
        is_operator boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX users_email ON users (lower(email))",
    """
    CREATE TABLE keys (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        name text NOT NULL,
        hash bytea NOT NULL UNIQUE,
        hint text NOT NULL,
        scopes text[] NOT NULL,
        models text[],
        spending_limit bigint CHECK (spending_limit >= 0),
        is_active boolean NOT NULL DEFAULT true,
        expires_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX keys_owner ON keys (owner_id, id)",
    """
    CREATE FUNCTION keys_notify() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('keys', coalesce(NEW.id, OLD.id));
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER keys_notify AFTER INSERT OR UPDATE OR DELETE ON keys
    FOR EACH ROW EXECUTE FUNCTION keys_notify()
    """,
]

# Rows that change with every batch keep room on their page, so that an update touches no index.
LEDGER = [
    """
    CREATE TABLE pools (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        kind text NOT NULL CHECK (kind IN ('wallet', 'key_month', 'house')),
        funded bigint NOT NULL DEFAULT 0,
        used bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
        leased bigint NOT NULL DEFAULT 0 CHECK (leased >= 0),
        held bigint NOT NULL DEFAULT 0 CHECK (held >= 0)
    ) WITH (fillfactor = 60)
    """,
    "CREATE INDEX pools_owner ON pools (owner_id)",
    """
    INSERT INTO pools (id, owner_id, kind)
    SELECT 'house/' || name, 'acc_house', 'house'
    FROM unnest(ARRAY['payments', 'gifts', 'revenue', 'written_off', 'budgets']) AS name
    """,
    """
    CREATE TABLE processes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        instance_id text NOT NULL,
        pid integer NOT NULL,
        boot_id text NOT NULL,
        state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'dead', 'closed')),
        live_until timestamptz NOT NULL,
        acked bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 60)
    """,
    "CREATE INDEX processes_live ON processes (instance_id) WHERE state = 'live'",
    """
    CREATE TABLE leases (
        process_id bigint NOT NULL REFERENCES processes,
        pool_id text COLLATE "C" NOT NULL REFERENCES pools,
        granted bigint NOT NULL DEFAULT 0,
        charged bigint NOT NULL DEFAULT 0 CHECK (charged >= 0),
        PRIMARY KEY (process_id, pool_id),
        CHECK (granted >= charged)
    ) WITH (fillfactor = 60)
    """,
    """
    CREATE TABLE job_holds (
        job_id text COLLATE "C" NOT NULL,
        pool_id text COLLATE "C" NOT NULL REFERENCES pools,
        amount bigint NOT NULL CHECK (amount > 0),
        PRIMARY KEY (job_id, pool_id)
    )
    """,
    """
    CREATE TABLE entries (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        debit_pool text COLLATE "C" NOT NULL REFERENCES pools,
        credit_pool text COLLATE "C" NOT NULL REFERENCES pools,
        amount bigint NOT NULL CHECK (amount > 0),
        kind text NOT NULL CHECK (kind IN ('gift', 'payment', 'charge', 'write_off')),
        source text NOT NULL,
        source_id text NOT NULL,
        note text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (source, source_id)
    )
    """,
    "CREATE INDEX entries_debit ON entries (debit_pool, id)",
    "CREATE INDEX entries_credit ON entries (credit_pool, id) WHERE kind IN ('gift', 'payment')",
    """
    CREATE TABLE usage (
        request_id text NOT NULL,
        started_at timestamptz NOT NULL,
        owner_id text COLLATE "C" NOT NULL,
        key_id text NOT NULL,
        endpoint text NOT NULL,
        dialect text NOT NULL,
        model text NOT NULL,
        provider text,
        target text,
        status integer NOT NULL,
        error_type text,
        is_stream boolean NOT NULL,
        attempts integer NOT NULL,
        first_byte_ms integer,
        duration_ms integer NOT NULL,
        client text NOT NULL,
        upstream_id text,
        input_tokens bigint NOT NULL,
        cache_read_tokens bigint NOT NULL,
        cache_write_tokens bigint NOT NULL,
        cache_write_1h_tokens bigint NOT NULL,
        output_tokens bigint NOT NULL,
        reasoning_tokens bigint NOT NULL,
        web_searches bigint NOT NULL,
        is_estimated boolean NOT NULL,
        cost bigint NOT NULL,
        charged bigint NOT NULL,
        written_off bigint NOT NULL,
        PRIMARY KEY (request_id, started_at),
        CHECK (cost = charged + written_off)
    )
    """,
    "CREATE INDEX usage_owner ON usage (owner_id, started_at)",
    "CREATE INDEX usage_upstream ON usage (upstream_id) WHERE upstream_id IS NOT NULL",
]

# SETTLE and GRANT of money.md in one statement: batch NUMBER of a process is applied at most once (a repeat only
# reads), and the answer is what the process now leases, so that a lost answer is mended by asking again.
# Locks: the process, then the pools in the order of their ids, then the leases.
FLUSH = """
CREATE FUNCTION ledger_flush(
    p_process bigint, p_number bigint, p_live_s double precision,
    p_pools text[], p_charged bigint[], p_returned bigint[], p_needs bigint[],
    p_limits json, p_rows json
) RETURNS TABLE (pool_id text, leased bigint, balance bigint, free bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_acked bigint;
BEGIN
    SELECT acked INTO v_acked FROM processes WHERE id = p_process AND state = 'live' FOR UPDATE;
    IF NOT FOUND OR v_acked NOT IN (p_number - 1, p_number) THEN
        RAISE EXCEPTION 'process % is fenced at batch %', p_process, p_number USING ERRCODE = 'HR001';
    END IF;
    UPDATE processes SET acked = p_number, live_until = clock_timestamp() + make_interval(secs => p_live_s)
    WHERE id = p_process;

    IF v_acked < p_number THEN
        IF p_limits IS NOT NULL THEN
            INSERT INTO pools (id, owner_id, kind, funded)
            SELECT m.id, m.owner_id, 'key_month', m.funded
            FROM json_to_recordset(p_limits) AS m (id text, owner_id text, funded bigint) ORDER BY m.id
            ON CONFLICT DO NOTHING;
        END IF;
        PERFORM 1 FROM pools WHERE id = ANY (p_pools) ORDER BY id FOR UPDATE;
        IF p_limits IS NOT NULL THEN
            UPDATE pools p SET funded = m.funded
            FROM json_to_recordset(p_limits) AS m (id text, funded bigint) WHERE p.id = m.id;
        END IF;

        INSERT INTO leases (process_id, pool_id)
        SELECT p_process, id FROM pools WHERE id = ANY (p_pools)
        ON CONFLICT DO NOTHING;

        WITH batch AS (
            SELECT b.*, p.kind,
                greatest(0, least(b.need, p.funded - p.used - p.leased - p.held + b.returned)) AS given
            FROM unnest(p_pools, p_charged, p_returned, p_needs) AS b (id, charged, returned, need)
            JOIN pools p USING (id)
        ), moved AS (
            UPDATE pools p
            SET used = p.used + b.charged, leased = p.leased - b.charged - b.returned + b.given
            FROM batch b WHERE p.id = b.id
        ), entered AS (
            INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
            SELECT b.id, CASE b.kind WHEN 'wallet' THEN 'house/revenue' ELSE 'house/budgets' END,
                b.charged, 'charge', 'batch', p_process || ':' || p_number || ':' || b.id
            FROM batch b WHERE b.charged > 0
        )
        UPDATE leases l SET granted = l.granted - b.returned + b.given, charged = l.charged + b.charged
        FROM batch b WHERE l.process_id = p_process AND l.pool_id = b.id;

        WITH inserted AS (
            INSERT INTO usage SELECT * FROM json_populate_recordset(NULL::usage, p_rows)
            ON CONFLICT DO NOTHING
            RETURNING written_off
        )
        INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
        SELECT 'house/written_off', 'house/revenue', sum(written_off), 'write_off', 'batch',
            p_process || ':' || p_number
        FROM inserted HAVING sum(written_off) > 0;

        -- A lease that is used up says nothing; now and then the rows are swept.
        IF p_number % 1000 = 0 THEN
            DELETE FROM leases WHERE process_id = p_process AND granted = charged AND NOT pool_id = ANY (p_pools);
        END IF;
    END IF;

    RETURN QUERY
    SELECT asked.id, coalesce(l.granted - l.charged, 0), coalesce(p.funded - p.used, 0),
        coalesce(p.funded - p.used - p.leased - p.held, 0)
    FROM unnest(p_pools) WITH ORDINALITY AS asked (id, place)
    LEFT JOIN pools p ON p.id = asked.id
    LEFT JOIN leases l ON l.process_id = p_process AND l.pool_id = asked.id
    ORDER BY asked.place;
END $$
"""

# What a process still leases goes back to the pools. False where it was closed before.
CLOSE = """
CREATE FUNCTION ledger_close(p_process bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM processes WHERE id = p_process AND state = 'live' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM pools
    WHERE id IN (SELECT pool_id FROM leases WHERE process_id = p_process) ORDER BY id FOR UPDATE;
    WITH ended AS (
        DELETE FROM leases WHERE process_id = p_process RETURNING pool_id, granted - charged AS rest
    )
    UPDATE pools p SET leased = p.leased - ended.rest FROM ended WHERE p.id = ended.pool_id;
    UPDATE processes SET state = 'closed' WHERE id = p_process;
    RETURN true;
END $$
"""

# Counters of one minute are worth nothing after it: unlogged, and swept by whoever opens the next window.
LIMITS = [
    """
    CREATE UNLOGGED TABLE rate_windows (
        owner_id text COLLATE "C" NOT NULL,
        minute bigint NOT NULL,
        used bigint NOT NULL,
        PRIMARY KEY (owner_id, minute)
    ) WITH (fillfactor = 60)
    """,
    "CREATE INDEX rate_windows_minute ON rate_windows (minute)",
    """
    CREATE FUNCTION rate_take(p_owner text, p_limit bigint, p_wanted bigint, p_shares bigint)
    RETURNS TABLE (slice bigint, used bigint, left_s double precision) LANGUAGE plpgsql AS $$
    #variable_conflict use_column
    DECLARE
        v_now double precision := extract(epoch FROM clock_timestamp());
        v_minute bigint := floor(v_now / 60);
        v_used bigint;
        v_slice bigint;
    BEGIN
        INSERT INTO rate_windows (owner_id, minute, used) VALUES (p_owner, v_minute, 0) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            DELETE FROM rate_windows WHERE (owner_id, minute) IN (
                SELECT w.owner_id, w.minute FROM rate_windows w
                WHERE w.minute < v_minute - 1 LIMIT 100 FOR UPDATE SKIP LOCKED);
        END IF;
        SELECT w.used INTO v_used FROM rate_windows w WHERE owner_id = p_owner AND minute = v_minute FOR UPDATE;
        v_slice := greatest(0, least(p_limit - v_used, greatest(p_wanted, (p_limit - v_used) / p_shares, 1)));
        UPDATE rate_windows w SET used = w.used + v_slice WHERE owner_id = p_owner AND minute = v_minute;
        RETURN QUERY SELECT v_slice, v_used + v_slice, (v_minute + 1) * 60 - v_now;
    END $$
    """,
]


def upgrade() -> None:
    """Create everything."""
    for statement in [*CLUSTER, *ACCOUNTS, *LEDGER, FLUSH, CLOSE, *LIMITS]:
        op.execute(statement)
