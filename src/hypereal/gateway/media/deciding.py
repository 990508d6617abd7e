"""Where a job goes on once its target has spoken of every part: polled, copied, tried elsewhere, or ended."""

from datetime import timedelta

import msgspec

from hypereal.gateway.media import store
from hypereal.gateway.media.ending import End, conclude, cost_of, cost_of_cancelled
from hypereal.gateway.media.job import Attempt, Made, MediaJob, Part, PartState, Problem, State, json_of
from hypereal.gateway.media.studio import COPY, POLL, SUBMIT, Studio
from hypereal.gateway.media.ways import UNSUPPORTED
from hypereal.jobs import Job, Outcome
from hypereal.kit.clock import utc_now
from hypereal.providers.drivers import Fault, FaultKind

UNKNOWN = "unknown"
"""The code of a fault that means: nobody can tell whether the vendor began. It is not asked again."""
ROUNDS_MAX = 20
RATE_S = 15.0
"""Before all targets are asked again, where one was over its rate and did not say for how long."""
RATE_S_MAX = 300.0
COLLECTING = "its output is being copied"

_STATUSES = {
    FaultKind.CALLER: 400,
    FaultKind.MODERATED: 400,
    FaultKind.CREDENTIAL: 401,
    FaultKind.BALANCE: 402,
    FaultKind.RATE: 429,
    FaultKind.VENDOR: 502,
    FaultKind.LOST: 404,
    FaultKind.CANCELLED: 499,
}
"""What a fault stands for in the request log's list of attempts."""
_CALLERS = (FaultKind.CALLER, FaultKind.MODERATED)


async def go_on(studio: Studio, todo: Job, job: MediaJob, parts: list[Part], *, poll_s: float) -> Outcome:
    """The next step of JOB, whose target has answered for all of PARTS, its current ones."""
    if any(part.state is PartState.RUNNING for part in parts):
        move = store.Move(state=State.RUNNING, waiting="queued upstream")
        return await studio.hand_on(todo, job, POLL, move, *parts, after_s=0.0 if job.is_cancel_asked else poll_s)
    made = [one for part in parts for one in part.outputs][: job.n]
    if made:
        studio.ways.note(job.target_name, None)
    if made and all(one.object_id is not None for one in made):
        return await conclude(studio, todo, job, completed(job, made))
    if made:
        return await studio.hand_on(todo, job, COPY, store.Move(state=State.COPYING, waiting=COLLECTING), *parts)
    if job.is_cancel_asked:
        cost = cost_of_cancelled(job, is_stopped=True)
        return await conclude(studio, todo, job, End(state=State.CANCELLED, cost=cost))
    return await fall_over(studio, todo, job, parts)


def completed(job: MediaJob, made: list[Made]) -> End:
    """JOB is done, with what was MADE of it."""
    kept = tuple(one for one in made if one.object_id is not None)
    return End(state=State.COMPLETED, cost=cost_of(job, kept), outputs=kept)


async def fall_over(studio: Studio, todo: Job, job: MediaJob, parts: list[Part]) -> Outcome:
    """The target has made nothing: the next one, all of them again a little later, or the end."""
    faults = [part.fault for part in parts if part.fault is not None]
    fault = _worst(faults)
    studio.ways.note(job.target_name, fault)
    job = _noted(job, fault)
    if fault.kind in _CALLERS:
        status, type_ = 400, "invalid_request_error"
        return await failed(studio, todo, job, Problem(type=type_, message=fault.message, status=status))
    if fault.code == UNKNOWN:
        return await failed(studio, todo, job, Problem(type="api_error", message=fault.message, status=502))
    if job.target + 1 < len(job.targets):
        move = store.Move(
            state=State.QUEUED, waiting="the next provider", target=job.target + 1, request=json_of(job.request)
        )
        return await studio.hand_on(todo, job, SUBMIT, move, *parts)
    wait_s = min(RATE_S_MAX, fault.retry_after_s or RATE_S)
    is_rate = any(one.status == _STATUSES[FaultKind.RATE] for one in job.request.tried[-len(job.targets) :])
    until = utc_now() + timedelta(seconds=wait_s)
    if is_rate and job.round + 1 < ROUNDS_MAX and until < job.deadline_at:
        move = store.Move(
            state=State.QUEUED,
            waiting=f"rate limited until {until:%Y-%m-%dT%H:%M:%SZ}",
            target=0,
            round=job.round + 1,
            request=json_of(job.request),
        )
        return await studio.hand_on(todo, job, SUBMIT, move, *parts, after_s=wait_s)
    return await failed(studio, todo, job, _exhausted(job, fault, is_rate=is_rate))


async def failed(studio: Studio, todo: Job, job: MediaJob, problem: Problem) -> Outcome:
    """JOB ends without anything, and costs nothing."""
    return await conclude(studio, todo, job, End(state=State.FAILED, error=problem))


async def timed_out(studio: Studio, todo: Job, job: MediaJob) -> Outcome:
    """Its time is over, and no vendor has said how it ended."""
    message = "It was not done in the time that there is for it. Nothing was charged."
    return await failed(studio, todo, job, Problem(type="timeout_error", message=message, status=504))


def is_overdue(job: MediaJob) -> bool:
    """Whether the time of JOB is over."""
    return job.deadline_at <= utc_now()


def _worst(faults: list[Fault]) -> Fault:
    """The one of FAULTS that decides: what is the caller's first, then what nobody knows."""
    ranked = sorted(faults, key=lambda fault: (fault.kind not in _CALLERS, fault.code != UNKNOWN))
    return ranked[0] if ranked else Fault(kind=FaultKind.VENDOR, message="The provider of this model made nothing.")


def _noted(job: MediaJob, fault: Fault) -> MediaJob:
    status = 400 if fault.code == UNSUPPORTED else _STATUSES[fault.kind]
    tried = (*job.request.tried, Attempt(target=job.target_name, status=status))[-64:]
    return msgspec.structs.replace(job, request=msgspec.structs.replace(job.request, tried=tried))


def _exhausted(job: MediaJob, fault: Fault, *, is_rate: bool) -> Problem:
    if fault.code == UNSUPPORTED:
        return Problem(type="invalid_request_error", message=fault.message, status=400)
    if is_rate:
        message = "Every provider of this model is over its rate limit. Nothing was charged; please try again later."
        return Problem(type="overloaded_error", message=message, status=503)
    others = "" if len(job.targets) == 1 else " So did every other."
    return Problem(type="api_error", message=f"{fault.message}{others} Nothing was charged.", status=502)
