"""Settlement by position: what a process has settled is told by how far its spool was applied, also after its death."""

from alembic import op

revision = "0005"
down_revision = "0004"

# A row that the log's table refuses must not stop all others; what it charged stays.
REFUSED = """
CREATE TABLE usage_refused (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    process_id bigint NOT NULL,
    error text NOT NULL,
    record json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""

LOG_EACH = """
CREATE FUNCTION ledger_log_each(p_process bigint, p_records json) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_record json;
    v_written_off bigint;
    v_sum bigint := 0;
BEGIN
    FOR v_record IN SELECT value FROM json_array_elements(p_records) LOOP
        BEGIN
            INSERT INTO usage SELECT * FROM json_populate_record(NULL::usage, v_record)
            ON CONFLICT DO NOTHING RETURNING written_off INTO v_written_off;
            v_sum := v_sum + coalesce(v_written_off, 0);
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            INSERT INTO usage_refused (process_id, error, record) VALUES (p_process, SQLERRM, v_record);
        END;
    END LOOP;
    RETURN v_sum;
END $$
"""

# What was settled when its lease was gone. Each pool of a call is charged what all of them have free, at most what the
# answer said; the rest is written off. A call that is in the log is settled already.
CHARGE_LATE = """
CREATE FUNCTION ledger_charge_late(p_process bigint, p_records json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_record json;
    v_row usage%ROWTYPE;
    v_pools text[];
BEGIN
    PERFORM 1 FROM pools WHERE id IN (
        SELECT unnest(ARRAY[value ->> 'owner_id', value ->> 'month']) FROM json_array_elements(p_records)
    ) ORDER BY id FOR UPDATE;
    FOR v_record IN SELECT value FROM json_array_elements(p_records) LOOP
        BEGIN
            v_row := json_populate_record(NULL::usage, v_record);
            v_pools := ARRAY[v_record ->> 'owner_id', v_record ->> 'month'];
            SELECT least(v_row.charged, greatest(0, min(funded - used - leased - held))) INTO v_row.charged
            FROM pools WHERE id = ANY (v_pools);
            v_row.written_off := v_row.cost - v_row.charged;
            INSERT INTO usage VALUES (v_row.*) ON CONFLICT DO NOTHING;
            CONTINUE WHEN NOT FOUND;
            UPDATE pools SET used = used + v_row.charged WHERE id = ANY (v_pools) AND v_row.charged > 0;
            INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
            SELECT id, CASE kind WHEN 'wallet' THEN 'house/revenue' ELSE 'house/budgets' END,
                v_row.charged, 'charge', 'late', v_row.request_id || ':' || id
            FROM pools WHERE id = ANY (v_pools) AND v_row.charged > 0
            UNION ALL
            SELECT 'house/written_off', 'house/revenue', v_row.written_off, 'write_off', 'late', v_row.request_id
            WHERE v_row.written_off > 0;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            INSERT INTO usage_refused (process_id, error, record) VALUES (p_process, SQLERRM, v_record);
        END;
    END LOOP;
END $$
"""

# As before, but what counts is how far the process's spool was applied: from one position to another, once. P_LATE are
# records whose lease was gone; P_IS_CAREFUL, after the log's table has refused a row, finds it.
FLUSH = """
CREATE FUNCTION ledger_flush(
    p_process bigint, p_from bigint, p_to bigint, p_live_s double precision,
    p_pools text[], p_charged bigint[], p_returned bigint[], p_needs bigint[], p_least bigint[], p_wishes bigint[],
    p_limits json, p_records json, p_late json, p_is_careful boolean
) RETURNS TABLE (leased bigint, balance bigint, free bigint, elsewhere bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_acked bigint;
    v_now timestamptz := clock_timestamp();
    v_recalled bigint;
    v_written_off bigint;
BEGIN
    SELECT acked INTO v_acked FROM processes WHERE id = p_process AND state = 'live' FOR UPDATE;
    IF NOT FOUND OR v_acked NOT IN (p_from, p_to) THEN
        RAISE EXCEPTION 'process % is fenced at %', p_process, p_from USING ERRCODE = 'HR001';
    END IF;
    UPDATE processes SET acked = p_to, live_until = clock_timestamp() + make_interval(secs => p_live_s)
    WHERE id = p_process;

    IF v_acked < p_to THEN
        IF p_limits IS NOT NULL THEN
            INSERT INTO pools (id, owner_id, kind, funded)
            SELECT m.id, m.owner_id, 'key_month', m.funded
            FROM json_to_recordset(p_limits) AS m (id text, owner_id text, funded bigint) ORDER BY m.id
            ON CONFLICT DO NOTHING;
        END IF;
        IF p_late IS NULL THEN
            PERFORM 1 FROM pools WHERE id = ANY (p_pools) ORDER BY id FOR UPDATE;
        ELSE
            PERFORM 1 FROM pools WHERE id = ANY (p_pools) OR id IN (
                SELECT unnest(ARRAY[value ->> 'owner_id', value ->> 'month']) FROM json_array_elements(p_late)
            ) ORDER BY id FOR UPDATE;
        END IF;
        IF p_limits IS NOT NULL THEN
            UPDATE pools p SET funded = m.funded
            FROM json_to_recordset(p_limits) AS m (id text, funded bigint) WHERE p.id = m.id;
        END IF;

        -- A pool that is charged and is not there (a database that went back in time) is an error; else it has nothing.
        INSERT INTO leases (process_id, pool_id)
        SELECT p_process, c.id FROM unnest(p_pools, p_charged) AS c (id, charged)
        WHERE c.charged > 0 OR EXISTS (SELECT FROM pools p WHERE p.id = c.id)
        ON CONFLICT DO NOTHING;

        WITH asked AS (
            SELECT b.*, p.kind, p.recalled_at, p.leased - (l.granted - l.charged) AS elsewhere,
                p.funded - p.used - p.leased - p.held + b.returned AS free
            FROM unnest(p_pools, p_charged, p_returned, p_needs, p_least, p_wishes)
                AS b (id, charged, returned, need, least, wish)
            JOIN pools p USING (id)
            JOIN leases l ON l.process_id = p_process AND l.pool_id = b.id
        ), batch AS MATERIALIZED (
            SELECT a.*,
                CASE
                    WHEN a.free < a.least THEN 0
                    WHEN a.free <= a.need THEN a.free
                    WHEN a.wish = 0 OR a.recalled_at > v_now - interval '1 s' THEN a.need
                    ELSE a.need + least(a.wish, (a.free - a.need) / (2 * (
                        SELECT greatest(1, count(*)) FROM processes WHERE state = 'live' AND live_until > v_now)))
                END AS given,
                a.free < a.need AND a.elsewhere > 0
                    AND coalesce(a.recalled_at <= v_now - interval '20 ms', true) AS is_recalled
            FROM asked a
        ), moved AS (
            UPDATE pools p
            SET used = p.used + b.charged, leased = p.leased - b.charged - b.returned + b.given,
                recalled_at = CASE WHEN b.is_recalled THEN v_now ELSE b.recalled_at END
            FROM batch b WHERE p.id = b.id
        ), entered AS (
            INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
            SELECT b.id, CASE b.kind WHEN 'wallet' THEN 'house/revenue' ELSE 'house/budgets' END,
                b.charged, 'charge', 'batch', p_process || ':' || p_to || ':' || b.id
            FROM batch b WHERE b.charged > 0
        ), leased AS (
            UPDATE leases l SET granted = l.granted - b.returned + b.given, charged = l.charged + b.charged
            FROM batch b WHERE l.process_id = p_process AND l.pool_id = b.id
        )
        SELECT count(pg_notify('ledger_recalls', b.id)) INTO v_recalled FROM batch b WHERE b.is_recalled;

        IF p_is_careful THEN
            v_written_off := ledger_log_each(p_process, p_records);
        ELSE
            WITH inserted AS (
                INSERT INTO usage SELECT * FROM json_populate_recordset(NULL::usage, p_records)
                ON CONFLICT DO NOTHING
                RETURNING written_off
            )
            SELECT sum(written_off) INTO v_written_off FROM inserted;
        END IF;
        IF v_written_off > 0 THEN
            INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)
            SELECT 'house/written_off', 'house/revenue', v_written_off, 'write_off', 'batch', p_process || ':' || p_to;
        END IF;
        IF p_late IS NOT NULL THEN
            PERFORM ledger_charge_late(p_process, p_late);
        END IF;

        -- A lease that is used up says nothing; now and then the rows are swept.
        IF random() < 0.001 THEN
            DELETE FROM leases WHERE process_id = p_process AND granted = charged AND NOT pool_id = ANY (p_pools);
        END IF;
    END IF;

    RETURN QUERY
    SELECT coalesce(l.granted - l.charged, 0), coalesce(p.funded - p.used, 0),
        coalesce(p.funded - p.used - p.leased - p.held, 0), coalesce(p.leased - (l.granted - l.charged), 0)
    FROM unnest(p_pools) WITH ORDINALITY AS asked (id, place)
    LEFT JOIN pools p ON p.id = asked.id
    LEFT JOIN leases l ON l.process_id = p_process AND l.pool_id = asked.id
    ORDER BY asked.place;
END $$
"""

# LATE of money.md: what a process had settled that is live no more, from one position of its spool to another, once.
LATE = """
CREATE FUNCTION ledger_late(p_process bigint, p_from bigint, p_to bigint, p_records json) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE processes SET acked = p_to WHERE id = p_process AND state <> 'live' AND acked = p_from;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'process % is not late at %', p_process, p_from USING ERRCODE = 'HR001';
    END IF;
    PERFORM ledger_charge_late(p_process, p_records);
END $$
"""

# What a live process leases goes back to the pools. It is 'dead' while it may have settled more than is known, 'closed'
# once all is. P_LIVE_UNTIL: only where it was not heard of since. False where there was nothing to end.
CLOSE = """
CREATE FUNCTION ledger_close(
    p_process bigint, p_state text DEFAULT 'closed', p_live_until timestamptz DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM processes
    WHERE id = p_process AND state IN ('live', 'dead') AND state <> p_state
        AND (p_live_until IS NULL OR live_until = p_live_until) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM pools
    WHERE id IN (SELECT pool_id FROM leases WHERE process_id = p_process) ORDER BY id FOR UPDATE;
    WITH ended AS (
        DELETE FROM leases WHERE process_id = p_process RETURNING pool_id, granted - charged AS rest
    )
    UPDATE pools p SET leased = p.leased - ended.rest FROM ended WHERE p.id = ended.pool_id;
    UPDATE processes SET state = p_state WHERE id = p_process;
    RETURN true;
END $$
"""


def upgrade() -> None:
    """The functions, and a table for what the log refuses."""
    op.execute(
        "DROP FUNCTION ledger_flush(bigint, bigint, double precision, "
        "text[], bigint[], bigint[], bigint[], bigint[], bigint[], json, json)"
    )
    op.execute("DROP FUNCTION ledger_close(bigint)")
    for statement in (REFUSED, LOG_EACH, CHARGE_LATE, FLUSH, LATE, CLOSE):
        op.execute(statement)
