"""The durable queue: an engine that knows no job. A row is the truth; who claims it holds a token that fences the rest.

`enqueue` writes a row in the caller's transaction. Capabilities declare HANDLERS and SCHEDULES in their `worker.py`;
`serve/` collects them for an `Engine`. Start at `job.py`.
"""

from hypereal.jobs.engine import Engine
from hypereal.jobs.idempotency import Answer, Asked, once
from hypereal.jobs.job import (
    WRITTEN,
    Again,
    Context,
    Daily,
    Done,
    Every,
    Failed,
    Handler,
    Job,
    Outcome,
    Retry,
    Schedule,
    Written,
)
from hypereal.jobs.queue import (
    CHANNEL,
    Depth,
    Lost,
    NewJob,
    Row,
    State,
    announce,
    cancel,
    confirm,
    depths,
    enqueue,
    find,
    hasten,
    list_jobs,
    retry,
    write,
)

__all__ = [
    "CHANNEL",
    "WRITTEN",
    "Again",
    "Answer",
    "Asked",
    "Context",
    "Daily",
    "Depth",
    "Done",
    "Engine",
    "Every",
    "Failed",
    "Handler",
    "Job",
    "Lost",
    "NewJob",
    "Outcome",
    "Retry",
    "Row",
    "Schedule",
    "State",
    "Written",
    "announce",
    "cancel",
    "confirm",
    "depths",
    "enqueue",
    "find",
    "hasten",
    "list_jobs",
    "once",
    "retry",
    "write",
]
