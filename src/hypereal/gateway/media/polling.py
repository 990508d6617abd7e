"""Asking a vendor how its task goes, ever more seldom. What it does not tell us is no end: only what it says is."""

import asyncio
import random

from hypereal.gateway.media import store
from hypereal.gateway.media.deciding import go_on, is_overdue, timed_out
from hypereal.gateway.media.ending import End, conclude, cost_of_cancelled
from hypereal.gateway.media.job import MediaJob, Part, PartState, State
from hypereal.gateway.media.studio import Studio, current
from hypereal.gateway.media.submitting import became
from hypereal.gateway.media.ways import Way
from hypereal.jobs import Again, Done, Job, Outcome
from hypereal.kit.clock import utc_now
from hypereal.providers.drivers import Accepted, Running, Unclear
from hypereal.providers.drivers import Kind as WorkKind
from hypereal.providers.drivers import Outcome as Said

HOPS_MAX = 3
"""From task to task, in one poll."""
SLOWER_S = 120.0
"""After so long a task is asked half as often, after twice that a third, ..."""
TIMES_MAX = 6.0
POLL_S_MAX = 30.0
SILENT_S = 10.0
"""Before a vendor that did not answer a poll is asked again."""
KINDS = {
    "image": (WorkKind.IMAGE, WorkKind.IMAGE_EDIT),
    "video": (WorkKind.VIDEO,),
    "audio": (WorkKind.SPEECH, WorkKind.CLONE, WorkKind.TRANSCRIPT),
}
"""Kinds of work of a kind of job, all at the same vendor."""
QUEUED, POLLING, SILENT = "queued upstream", "polling", "polling: the provider does not answer"


async def poll(studio: Studio, todo: Job) -> Outcome:
    """One step: the tasks of the job that run are asked for."""
    loaded = await studio.load(todo)
    if loaded is None or loaded[0].is_final:
        return Done()
    job, parts = loaded
    mine = current(job, parts)
    way = way_of(studio, job)
    if way is None:
        if is_overdue(job):
            return await timed_out(studio, todo, job)
        return Again(after_s=POLL_S_MAX, reason="its provider is not set up any more")
    is_stopped = job.is_cancel_asked and await _cancel(way, mine)
    told = await asyncio.gather(*(_polled(studio, job, way, part) for part in mine))
    if any(part.state is PartState.RUNNING for part, _ in told):
        if is_overdue(job) and not job.is_cancel_asked:
            await _cancel(way, [part for part, _ in told])
            return await timed_out(studio, todo, job)
        return await _wait(studio, todo, job, told, is_stopped=is_stopped)
    now = [part for part, _ in told]
    if job.is_cancel_asked and not any(part.outputs for part in now):
        return await _cancelled(studio, todo, job, is_stopped=True)
    return await go_on(studio, todo, job, now, poll_s=0.0)


def way_of(studio: Studio, job: MediaJob) -> Way | None:
    """The way by which the parts were begun."""
    return next((way for kind in KINDS[job.kind] if (way := studio.ways.of(job.target_name, kind)) is not None), None)


async def _cancel(way: Way, parts: list[Part]) -> bool:
    """Whether the vendor has stopped all of PARTS that run."""
    running = [part for part in parts if part.state is PartState.RUNNING and part.task is not None]
    return all([await way.cancel(part.task, part.key_number) for part in running if part.task is not None])


async def _polled(studio: Studio, job: MediaJob, way: Way, part: Part) -> tuple[Part, Said | None]:
    """PART now, and what the vendor last said of it."""
    said: Said | None = None
    for _ in range(HOPS_MAX):
        if part.state is not PartState.RUNNING or part.task is None:
            return part, said
        said = await way.poll(part.task, part.key_number)
        if isinstance(said, Running | Unclear):
            return part, said
        part = await became(studio, job, part, said)
        if isinstance(said, Accepted) and said.poll_after_s > 0:
            return part, said
    return part, said


async def _wait(
    studio: Studio, todo: Job, job: MediaJob, told: list[tuple[Part, Said | None]], *, is_stopped: bool
) -> Outcome:
    """It goes on there: another look later, unless its time or its owner's patience is over."""
    parts = [part for part, _ in told]
    said = [one for part, one in told if part.state is PartState.RUNNING]
    is_running = any(isinstance(one, Running) and not one.is_queued for one in said)
    if job.is_cancel_asked:
        return await _cancelled(studio, todo, job, is_stopped=is_stopped)
    waiting = QUEUED if not is_running else POLLING
    if said and all(isinstance(one, Unclear) for one in said):
        waiting = SILENT
    after_s = _pause_s(job, said)
    progress = min(
        (one.progress for one in said if isinstance(one, Running) and one.progress is not None), default=None
    )
    has_begun = is_running and job.begun_at is None
    is_news = has_begun or waiting != job.waiting or (progress is not None and progress != job.progress)
    if not is_news and not any(isinstance(one, Accepted) for one in said) and _is_same(told):
        return Again(after_s=after_s, reason=waiting)
    move = store.Move(waiting=waiting, progress=progress, has_begun=has_begun)
    return await studio.again(todo, job, move, after_s, *parts)


def _is_same(told: list[tuple[Part, Said | None]]) -> bool:
    return all(said is None or isinstance(said, Running | Unclear) for _, said in told)


def _pause_s(job: MediaJob, said: list[Said | None]) -> float:
    """The vendor's own pace, slower the longer it takes, with jitter so that not all are asked at once."""
    paces = [one.poll_after_s for one in said if isinstance(one, Running | Accepted)]
    pace_s = min(paces) if paces else SILENT_S
    waited_s = max(0.0, (utc_now() - (job.begun_at or job.created_at)).total_seconds())
    slower = min(TIMES_MAX, 1.0 + waited_s / SLOWER_S)
    return min(POLL_S_MAX, pace_s * slower) * random.uniform(0.9, 1.1)


async def _cancelled(studio: Studio, todo: Job, job: MediaJob, *, is_stopped: bool) -> Outcome:
    cost = cost_of_cancelled(job, is_stopped=is_stopped)
    return await conclude(studio, todo, job, End(state=State.CANCELLED, cost=cost))
