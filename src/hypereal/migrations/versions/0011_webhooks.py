"""Webhooks: endpoints, events as they are sent, and each on its way to each endpoint."""

from alembic import op

revision = "0011"
down_revision = "0010"

# An endpoint without a URL is the owner's default: its secret signs what goes to URLs of single requests.
ENDPOINTS = [
    """
    CREATE TABLE webhook_endpoints (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        url text,
        events text[] NOT NULL,
        description text NOT NULL DEFAULT '',
        is_enabled boolean NOT NULL DEFAULT true,
        disabled_reason text,
        sealed bytea NOT NULL,
        old_sealed bytea,
        old_until timestamptz,
        failing_since timestamptz,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX webhook_endpoints_owner ON webhook_endpoints (owner_id, id)",
    "CREATE UNIQUE INDEX webhook_endpoints_default ON webhook_endpoints (owner_id) WHERE url IS NULL",
]

MESSAGES = [
    """
    CREATE TABLE webhook_messages (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        type text NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX webhook_messages_owner ON webhook_messages (owner_id, id)",
    "CREATE INDEX webhook_messages_age ON webhook_messages (created_at)",
]

DELIVERIES = [
    """
    CREATE TABLE webhook_deliveries (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        message_id text COLLATE "C" NOT NULL REFERENCES webhook_messages ON DELETE CASCADE,
        endpoint_id text COLLATE "C" NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
        url text,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
        attempts jsonb NOT NULL DEFAULT '[]',
        next_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CHECK ((finished_at IS NULL) = (state = 'pending'))
    )
    """,
    "CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id)",
    "CREATE INDEX webhook_deliveries_message ON webhook_deliveries (message_id)",
]


def upgrade() -> None:
    """Three tables."""
    for statement in [*ENDPOINTS, *MESSAGES, *DELIVERIES]:
        op.execute(statement)
