"""How a job ends: its state, its money, its row in the request log and its events are one transaction."""

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from hypereal import jobs, ledger
from hypereal.catalog import Unit, requests_of
from hypereal.gateway.media import store
from hypereal.gateway.media.job import Made, MediaJob, Problem, State, job_of
from hypereal.gateway.media.showing import shown
from hypereal.gateway.media.studio import CHANNEL, Studio
from hypereal.jobs import WRITTEN, Done, Job, Outcome
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Connection
from hypereal.kit.money import Micro
from hypereal.ledger import Asked, Asker, Details, UsageRow
from hypereal.webhooks import Event

MEDIA = "media"
"""The log's dialect of what is no dialect."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How."""

    state: State
    cost: Micro = Micro(0)
    outputs: tuple[Made, ...] = ()
    error: Problem | None = None


async def conclude(studio: Studio, todo: Job, job: MediaJob, end: End) -> Outcome:
    """End JOB, as the outcome of its step. Raises Lost."""
    async with studio.database.transaction() as connection:
        await jobs.write(connection, todo, Done())
        await end_in(studio, connection, job, end)
    await told(studio, job)
    return WRITTEN


async def end_in(studio: Studio, connection: Connection, job: MediaJob, end: End) -> MediaJob | None:
    """End JOB in the caller's transaction, after which `told`; None where it had ended before."""
    ended = msgspec.structs.replace(job, state=end.state, cost=end.cost, outputs=end.outputs)
    row = await store.finish(connection, job.owner_id, ended, end.error)
    if row is None:
        return None
    ended = job_of(row)
    assert ended.finished_at is not None
    await ledger.settle_job(connection, job.id, _row(ended, ended.finished_at), end.cost)
    data = msgspec.json.encode(shown(ended, studio.storage.links, studio.public_url))
    event = Event(type=f"job.{end.state}", data=msgspec.Raw(data))
    await studio.webhooks.emit(connection, job.owner_id, event, url=job.request.webhook_url)
    return ended


async def told(studio: Studio, job: MediaJob) -> None:
    """Tell those who wait for JOB, and those who send its events."""
    await jobs.announce(studio.database)
    async with studio.database.connection() as connection:
        await store.tell(connection, CHANNEL, job.id)


def cost_of(job: MediaJob, made: Sequence[Made]) -> Micro:
    """What MADE, the outputs of JOB, cost. Speech is paid by how long it became; where that cannot be told, as held."""
    units = job.units // job.n * min(len(made), job.n)
    if job.per is Unit.REQUEST and made and made[0].seconds is not None:
        units = min(units, requests_of(made[0].seconds))
    return Micro(units * job.unit_price)


def cost_of_cancelled(job: MediaJob, *, is_stopped: bool) -> Micro:
    """Contract 1.3: what a vendor has begun pays the seconds used.

    What is priced by the piece has no seconds: nothing where the vendor has stopped it, else all of it.
    """
    if job.begun_at is None:
        return Micro(0)
    if job.per is Unit.SECOND:
        seconds = math.ceil((utc_now() - job.begun_at).total_seconds())
        return Micro(min(seconds, job.units) * job.unit_price)
    return Micro(0) if is_stopped else job.held


def _row(job: MediaJob, finished_at: datetime) -> UsageRow:
    provider, _, target = job.target_name.partition(":")
    origin = job.request
    failed = {State.FAILED: (job.error or Problem(type="api_error", message="", status=502))}.get(job.state)
    asker = Asker(
        owner_id=job.owner_id, key_id=job.key_id, endpoint=origin.endpoint, client=origin.client, app=origin.app
    )
    asked = Asked(dialect=MEDIA, model=job.model, provider=provider, target=target, price_version=job.price_version)
    details = Details(
        request_id=origin.request_id,
        started_at=job.created_at,
        status=200 if failed is None else failed.status,
        error_type="cancelled" if job.state is State.CANCELLED else None if failed is None else failed.type,
        is_stream=False,
        attempts=len(origin.tried) + 1,
        duration_ms=max(0, int((finished_at - job.created_at).total_seconds() * 1000)),
        tried=tuple(ledger.Attempt(target=one.target, status=one.status, ms=one.ms) for one in origin.tried) or None,
        end_user=origin.end_user,
        metadata=origin.metadata,
    )
    return UsageRow.of(asker, asked, details)
