"""What is stored is charged: up to where an owner's byte-seconds are billed."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """One column. What was stored before costs nothing."""
    op.execute("ALTER TABLE storage_sums ADD COLUMN billed_byte_seconds numeric NOT NULL DEFAULT 0")
    op.execute(
        """
        UPDATE storage_sums SET billed_byte_seconds =
            byte_seconds + size_bytes * greatest(0, extract(epoch FROM clock_timestamp() - counted_at))
        """
    )
