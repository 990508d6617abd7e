"""Wallets that are nearly empty are told of once."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Whether a wallet was below the mark when last it was looked at; none is told of for what it was before."""
    op.execute("ALTER TABLE pools ADD COLUMN is_low boolean NOT NULL DEFAULT false")
    op.execute("UPDATE pools SET is_low = true WHERE kind = 'wallet' AND used > 0 AND funded - used <= 500000000")
