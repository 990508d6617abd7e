"""Leases with slices: a batch may wish for more than its callers need, and recalls what other processes do not use."""

from alembic import op

revision = "0004"
down_revision = "0003"

# As before, but a batch also says the least that helps it, and what it wishes for beyond its needs: half of an equal
# share of the rest at most, and nothing while the pool is short. A need that is not met in full while other processes
# lease from the pool is told to them, every 20 ms at most.
FLUSH = """
CREATE FUNCTION ledger_flush(
    p_process bigint, p_number bigint, p_live_s double precision,
    p_pools text[], p_charged bigint[], p_returned bigint[], p_needs bigint[], p_least bigint[], p_wishes bigint[],
    p_limits json, p_rows json
) RETURNS TABLE (leased bigint, balance bigint, free bigint, elsewhere bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_acked bigint;
    v_now timestamptz := clock_timestamp();
    v_recalled bigint;
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
                b.charged, 'charge', 'batch', p_process || ':' || p_number || ':' || b.id
            FROM batch b WHERE b.charged > 0
        ), leased AS (
            UPDATE leases l SET granted = l.granted - b.returned + b.given, charged = l.charged + b.charged
            FROM batch b WHERE l.process_id = p_process AND l.pool_id = b.id
        )
        SELECT count(pg_notify('ledger_recalls', b.id)) INTO v_recalled FROM batch b WHERE b.is_recalled;

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
    SELECT coalesce(l.granted - l.charged, 0), coalesce(p.funded - p.used, 0),
        coalesce(p.funded - p.used - p.leased - p.held, 0), coalesce(p.leased - (l.granted - l.charged), 0)
    FROM unnest(p_pools) WITH ORDINALITY AS asked (id, place)
    LEFT JOIN pools p ON p.id = asked.id
    LEFT JOIN leases l ON l.process_id = p_process AND l.pool_id = asked.id
    ORDER BY asked.place;
END $$
"""


def upgrade() -> None:
    """When a pool was last recalled, and the function that says so."""
    op.execute("ALTER TABLE pools ADD COLUMN recalled_at timestamptz")
    op.execute(
        "DROP FUNCTION ledger_flush(bigint, bigint, double precision, text[], bigint[], bigint[], bigint[], json, json)"
    )
    op.execute(FLUSH)
