"""Stored objects, and how much each owner has."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Each index is of the few rows that its sweep looks for, but the first, which lists an owner's objects.
OBJECTS = [
    """
    CREATE TABLE objects (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        kind text NOT NULL CHECK (kind IN ('dataset', 'weights', 'lora', 'output', 'input')),
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'ready', 'gone')),
        key text NOT NULL,
        filename text NOT NULL,
        content_type text NOT NULL,
        size_bytes bigint CHECK (size_bytes >= 0),
        sha256 text,
        etag text,
        source text,
        parts_id text,
        is_final boolean NOT NULL DEFAULT false,
        upload_until timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        ready_at timestamptz,
        CHECK (state <> 'ready' OR (size_bytes IS NOT NULL AND etag IS NOT NULL AND ready_at IS NOT NULL))
    )
    """,
    "CREATE INDEX objects_owner ON objects (owner_id, id)",
    "CREATE INDEX objects_pending ON objects (owner_id, id) WHERE state = 'pending'",
    "CREATE UNIQUE INDEX objects_source ON objects (owner_id, source) WHERE source IS NOT NULL",
    "CREATE INDEX objects_open ON objects (upload_until) WHERE NOT is_final AND state <> 'gone'",
    "CREATE INDEX objects_gone ON objects (id) WHERE state = 'gone'",
    "CREATE INDEX objects_age ON objects (ready_at) WHERE state = 'ready' AND kind = 'output'",
]

SUMS = """
    CREATE TABLE storage_sums (
        owner_id text COLLATE "C" PRIMARY KEY REFERENCES accounts,
        objects bigint NOT NULL CHECK (objects >= 0),
        size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
        reserved_bytes bigint NOT NULL CHECK (reserved_bytes >= 0),
        byte_seconds numeric NOT NULL DEFAULT 0,
        counted_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 60)
"""


def upgrade() -> None:
    """Two tables."""
    for statement in [*OBJECTS, SUMS]:
        op.execute(statement)
