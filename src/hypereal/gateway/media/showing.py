"""A job as its owner is told of it (contract 3.4), by every way of telling."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from hypereal.gateway.media.job import FINAL, MediaJob
from hypereal.kit.ids import JobId
from hypereal.kit.money import credits_json
from hypereal.storage import Links

POLL = "/v1/jobs/"
PROCESSING = "processing"


class ShownJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job."""

    job_id: JobId
    model: str
    type: str
    status: str
    progress: float | UnsetType = UNSET
    """0 to 1."""
    output_url: str | None
    outputs: list[str]
    credits_used: msgspec.Raw
    """What is held while it goes on, what it cost once it has ended."""
    waiting: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    poll_url: str
    created_at: datetime
    completed_at: datetime | None


def shown(job: MediaJob, links: Links, base: str) -> ShownJob:
    """JOB, its links beginning with BASE."""
    outputs = urls_of(job, links, base)
    return ShownJob(
        job_id=job.id,
        model=job.model,
        type=job.kind,
        status=job.state.value if job.state in FINAL else PROCESSING,
        progress=UNSET if job.progress is None else round(job.progress, 3),
        output_url=outputs[0] if outputs else None,
        outputs=outputs,
        credits_used=credits_json(job.held if job.cost is None else job.cost),
        waiting=UNSET if job.is_final else (job.waiting or job.state.value),
        error=UNSET if job.error is None else job.error.message,
        poll_url=POLL + job.id,
        created_at=job.created_at,
        completed_at=job.finished_at,
    )


def urls_of(job: MediaJob, links: Links, base: str) -> list[str]:
    """Where what was made is."""
    return [base + links.download(made.object_id, made.filename) for made in job.outputs if made.object_id is not None]
