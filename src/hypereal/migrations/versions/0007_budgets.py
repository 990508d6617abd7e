"""Keys that rotate, keep to addresses and are stopped by their budget; alerts of budgets; rates of accounts."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = [
    """
    ALTER TABLE keys
        ADD COLUMN auto_disable boolean NOT NULL DEFAULT false,
        ADD COLUMN stopped_at timestamptz,
        ADD COLUMN allowed_ips text[],
        ADD COLUMN former_hash bytea UNIQUE,
        ADD COLUMN former_until timestamptz
    """,
    # What was alerted of a key's month (80 or 100), and at which limit: a raised one is alerted of again, and then only
    # calls that were refused since it was raised are a sign that it is used up.
    """
    ALTER TABLE pools
        ADD COLUMN alerted smallint NOT NULL DEFAULT 0,
        ADD COLUMN alerted_limit bigint NOT NULL DEFAULT 0,
        ADD COLUMN raised_at timestamptz
    """,
    # By month: what never changes, so that the index is touched once a key and month.
    """CREATE INDEX pools_months ON pools (right(id, 7)) WHERE kind = 'key_month'""",
    "ALTER TABLE accounts ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0)",
    """
    CREATE FUNCTION accounts_notify() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('keys', NEW.id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER accounts_notify AFTER UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_notify()
    """,
]


def upgrade() -> None:
    """Columns that are empty for every key so far."""
    for statement in STATEMENTS:
        op.execute(statement)
