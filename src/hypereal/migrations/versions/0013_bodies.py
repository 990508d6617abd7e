"""Bodies of calls, for keys that asked for it: a table for each day that they end on, what an owner had of a day, and
the keys that are gone."""

from alembic import op

revision = "0013"
down_revision = "0012"

KEYS = """
    ALTER TABLE keys
        ADD COLUMN log_bodies boolean NOT NULL DEFAULT false,
        ADD COLUMN body_retention_days smallint NOT NULL DEFAULT 7 CHECK (body_retention_days BETWEEN 1 AND 30)
"""

# By the day after which they are not kept any more, so that what ends is dropped whole, however long each key keeps
# its bodies. A body whose day has no table yet goes to `bodies_default`, until it has.
TABLES = [
    """
    CREATE TABLE bodies (
        request_id text COLLATE "C" NOT NULL,
        kept_until date NOT NULL,
        owner_id text COLLATE "C" NOT NULL,
        key_id text COLLATE "C" NOT NULL,
        sealed bytea NOT NULL,
        PRIMARY KEY (request_id, kept_until)
    ) PARTITION BY RANGE (kept_until)
    """,
    "CREATE INDEX bodies_key ON bodies (key_id)",
    "CREATE TABLE bodies_default PARTITION OF bodies DEFAULT",
    """
    CREATE TABLE body_sums (
        owner_id text COLLATE "C" NOT NULL,
        day date NOT NULL,
        size_bytes bigint NOT NULL,
        PRIMARY KEY (owner_id, day)
    )
    """,
]

# A key that is deleted leaves its id here, in the same transaction: from then on its bodies are not shown, whatever
# still comes of calls that were under way is not shown either, and the upkeep deletes them.
GONE = [
    """
    CREATE TABLE bodies_gone (
        key_id text COLLATE "C" PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE FUNCTION bodies_key_gone() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO bodies_gone (key_id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER bodies_key_gone AFTER DELETE ON keys FOR EACH ROW EXECUTE FUNCTION bodies_key_gone()",
]

MAKE_DAY = """
CREATE FUNCTION bodies_make_day(p_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_name text := 'bodies_' || to_char(p_day, 'YYYYMMDD');
BEGIN
    LOCK TABLE ONLY bodies IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN;
    END IF;
    LOCK TABLE bodies_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE bodies INCLUDING CONSTRAINTS)', v_name);
    EXECUTE format('
        WITH moved AS (DELETE FROM bodies_default WHERE kept_until = %L RETURNING *)
        INSERT INTO %I SELECT * FROM moved', p_day, v_name);
    EXECUTE format('ALTER TABLE bodies ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', v_name, p_day, p_day + 1);
END $$
"""


def upgrade() -> None:
    """No key asks for it so far."""
    for statement in [KEYS, *TABLES, *GONE, MAKE_DAY]:
        op.execute(statement)
