"""The usage log tells which targets failed before one answered, and what the vendor's cache saved."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Two columns that are empty for every call so far."""
    op.execute("ALTER TABLE usage ADD COLUMN tried jsonb, ADD COLUMN cache_saved bigint")
