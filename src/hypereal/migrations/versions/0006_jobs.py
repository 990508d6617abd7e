"""Durable jobs, and the first answers to requests that name an idempotency key."""

from alembic import op

revision = "0006"
down_revision = "0005"

# `due_at` is when somebody may claim the job: where it is queued, its time; where it runs, the end of the claim. So one
# index finds what is due, what was left by a worker that died, and when to look again. Rows change often and finish
# soon: what they leave behind is vacuumed early, else claims would have to step over it.
JOBS = [
    """
    CREATE TABLE jobs (
        id text COLLATE "C" PRIMARY KEY,
        kind text COLLATE "C" NOT NULL,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        payload jsonb NOT NULL,
        state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        due_at timestamptz NOT NULL,
        token bigint NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        waiting text,
        last_error text,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CHECK ((finished_at IS NULL) = (state IN ('queued', 'running')))
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
    """,
    "CREATE INDEX jobs_due ON jobs (kind, due_at) WHERE state IN ('queued', 'running')",
    "CREATE INDEX jobs_finished ON jobs (state, finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX jobs_owner ON jobs (owner_id, id)",
]

IDEMPOTENCY = [
    """
    CREATE TABLE idempotency (
        owner_id text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        request_hash bytea NOT NULL,
        status integer,
        answer bytea,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (owner_id, key)
    )
    """,
    "CREATE INDEX idempotency_age ON idempotency (created_at)",
]


def upgrade() -> None:
    """Two tables."""
    for statement in [*JOBS, *IDEMPOTENCY]:
        op.execute(statement)
