"""Prices that were set here: each from a moment on, until the next one of its model. They win over the files."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """One table, and a notice of every change of it."""
    op.execute(
        """
        CREATE TABLE price_versions (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            model text COLLATE "C" NOT NULL,
            valid_from timestamptz NOT NULL,
            price jsonb,
            note text NOT NULL DEFAULT '',
            created_by text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute("COMMENT ON COLUMN price_versions.price IS 'micro-credits per million tokens; NULL: as the files say'")
    op.execute("CREATE INDEX price_versions_model ON price_versions (model, valid_from, id)")
    op.execute(
        """
        CREATE FUNCTION price_versions_notify() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('prices', '');
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER price_versions_notify AFTER INSERT OR UPDATE OR DELETE ON price_versions
        FOR EACH STATEMENT EXECUTE FUNCTION price_versions_notify()
        """
    )
