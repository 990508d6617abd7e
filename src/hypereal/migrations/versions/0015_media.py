"""Media jobs: each long call of an owner's, and each of the tasks at vendors that it is made of."""

from alembic import op

revision = "0015"
down_revision = "0014"

# `sealed` is what was asked for; it goes when the job ends. `queue_id` is the job of the queue that works on it next.
JOBS = [
    """
    CREATE TABLE media_jobs (
        id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        key_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('image', 'video', 'audio')),
        model text NOT NULL,
        state text NOT NULL CHECK (
            state IN ('queued', 'submitting', 'running', 'copying', 'completed', 'failed', 'cancelled')),
        sealed bytea,
        targets text[] NOT NULL,
        target integer NOT NULL DEFAULT 0,
        round integer NOT NULL DEFAULT 0,
        queue_id text COLLATE "C" NOT NULL,
        per text NOT NULL,
        n integer NOT NULL CHECK (n > 0),
        units bigint NOT NULL CHECK (units > 0),
        unit_price bigint NOT NULL CHECK (unit_price > 0),
        price_version text NOT NULL,
        cost bigint CHECK (cost BETWEEN 0 AND units * unit_price),
        outputs jsonb NOT NULL DEFAULT '[]',
        error jsonb,
        progress double precision,
        waiting text,
        is_cancel_asked boolean NOT NULL DEFAULT false,
        request jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        begun_at timestamptz,
        deadline_at timestamptz NOT NULL,
        finished_at timestamptz,
        CHECK ((finished_at IS NULL) = (state NOT IN ('completed', 'failed', 'cancelled'))),
        CHECK ((finished_at IS NULL) = (cost IS NULL)),
        CHECK (finished_at IS NULL OR sealed IS NULL)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX media_jobs_owner ON media_jobs (owner_id, id)",
    "CREATE INDEX media_jobs_open ON media_jobs (deadline_at) WHERE finished_at IS NULL",
    "CREATE INDEX media_jobs_finished ON media_jobs (finished_at) WHERE finished_at IS NOT NULL",
]

# A row in the state 'asking' is the intent: it is there before the vendor is asked, and what came of it after.
PARTS = [
    """
    CREATE TABLE media_parts (
        job_id text COLLATE "C" NOT NULL REFERENCES media_jobs ON DELETE CASCADE,
        number integer NOT NULL,
        owner_id text COLLATE "C" NOT NULL REFERENCES accounts,
        target text NOT NULL,
        n integer NOT NULL CHECK (n > 0),
        state text NOT NULL CHECK (state IN ('asking', 'running', 'made', 'failed')),
        key_number integer NOT NULL DEFAULT 0,
        task jsonb,
        outputs jsonb NOT NULL DEFAULT '[]',
        fault jsonb,
        asked_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (job_id, number),
        CHECK (state <> 'running' OR task IS NOT NULL)
    ) WITH (fillfactor = 80)
    """,
]


def upgrade() -> None:
    """Two tables."""
    for statement in [*JOBS, *PARTS]:
        op.execute(statement)
