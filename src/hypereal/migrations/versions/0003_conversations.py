"""Conversations that bridges keep for a day, so that callers can go on with them by the id of the last answer."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One table. What is encrypted cannot be compressed, so PostgreSQL need not try."""
    op.execute(
        """
        CREATE TABLE conversations (
            owner_id text COLLATE "C" NOT NULL,
            response_id text COLLATE "C" NOT NULL,
            model text NOT NULL,
            sealed bytea,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (owner_id, response_id)
        )
        """
    )
    op.execute("ALTER TABLE conversations ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX conversations_expiry ON conversations (expires_at)")
