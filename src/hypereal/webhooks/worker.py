"""Webhooks' jobs: one try of one delivery at a time, for a day; and a schedule that keeps the log short."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic, time
from typing import Any

import asyncpg
import msgspec

from hypereal import jobs
from hypereal.accounts import addresses_of
from hypereal.jobs import Again, Context, Done, Every, Handler, Job, NewJob, Outcome, Schedule
from hypereal.kit import log
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Connection
from hypereal.kit.errors import UnusableUrl
from hypereal.kit.events import EMIT, ToEmit
from hypereal.kit.ids import AccountId
from hypereal.kit.mail import Mail
from hypereal.webhooks import store
from hypereal.webhooks.events import Event
from hypereal.webhooks.signing import signed_headers
from hypereal.webhooks.webhooks import DELIVER, Attempt, ToDeliver, Webhooks

TIMEOUT_S = 15.0
PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 28_800.0)
"""After the first, second, … try that failed: 24 hours in all."""
JITTER = 0.2
RETRY_AFTER_S_MAX = 3600.0
DEAD_S = 3 * 24 * 3600.0
GONE = 410
AT_ONCE_MAX = 64
"""In one process."""
OF_ONE_MAX = 8
"""To one endpoint at once in one process: a slow one must not take all places."""
BUSY_S = 1.0
BUSY_S_MAX = 60.0
"""Before a delivery that found its endpoint busy looks again: the longer, the more of them there are."""
FAULTS_MAX = 50
"""Of our own, in a row, at one try."""
KEPT_S = 30 * 24 * 3600.0
OWNER_MAX = 10_000
"""Messages of one owner that are kept."""
SWEEP_S = 600.0
ROWS_MAX = 500
ROUNDS_MAX = 100
MAIL = "mail.send"
"""The kind of job that sends mail (`accounts/worker.py`); its payload is `kit.mail.Mail`."""


class Deliveries:
    """Runs deliveries in this process."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._under_way: Counter[str] = Counter()
        """By endpoint."""
        self._turned_away: Counter[str] = Counter()
        """By endpoint, since one of its deliveries ended last."""

    async def deliver(self, context: Context, job: Job) -> Outcome:
        """One try of the delivery that JOB names."""
        payload: ToDeliver = job.payload
        async with context.database.connection() as connection:
            row = await store.find_delivery(connection, job.owner_id, payload.delivery_id)
        if row is None or row["state"] != "pending":
            return Done()
        if not row["is_enabled"]:
            return await self._end(context, job, row, None, f"the endpoint is off: {row['disabled_reason']}")
        endpoint_id = row["endpoint_id"]
        if self._under_way[endpoint_id] >= OF_ONE_MAX:
            self._turned_away[endpoint_id] += 1
            pause_s = min(BUSY_S_MAX, BUSY_S * (1 + self._turned_away[endpoint_id] / AT_ONCE_MAX))
            return Again(after_s=pause_s * random.uniform(0.5, 1.5), reason="its endpoint is busy")
        self._under_way[endpoint_id] += 1
        try:
            attempt, retry_after_s = await self._post(row)
        finally:
            self._turned_away.pop(endpoint_id, None)
            self._under_way[endpoint_id] -= 1
            self._under_way += Counter()  # without those that are 0
        return await self._write(context, job, row, attempt, retry_after_s)

    async def _post(self, row: asyncpg.Record) -> tuple[Attempt, float]:
        """What came of a try, and how long the endpoint asks to be left alone."""
        owner_id, endpoint_id = row["owner_id"], row["endpoint_id"]
        sealed = [one for one in (row["sealed"], row["old_sealed"]) if one is not None]
        keys = [self._webhooks.endpoints.secret_of(owner_id, endpoint_id, one) for one in sealed]
        headers = signed_headers(keys, row["message_id"], int(time()), row["body"])
        headers["content-type"] = "application/json"
        at, began_s = utc_now(), monotonic()
        status, error, retry_after_s = None, None, 0.0
        try:
            posted = await self._webhooks.outbound.post(row["leads_to"], "url", row["body"], headers, TIMEOUT_S)
            status, retry_after_s = posted.status, posted.retry_after_s or 0.0
        except UnusableUrl as unusable:
            error = unusable.message
        return Attempt(
            at=at, status=status, error=error, duration_ms=round((monotonic() - began_s) * 1000)
        ), retry_after_s

    async def _write(
        self, context: Context, job: Job, row: asyncpg.Record, attempt: Attempt, retry_after_s: float
    ) -> Outcome:
        """Note the try, in the log and of the endpoint, and when the next one is."""
        if attempt.status is not None and 200 <= attempt.status < 300:
            return await self._end(context, job, row, attempt, None)
        tries = len(msgspec.json.decode(row["attempts"])) + 1
        if tries > len(PAUSES_S) or attempt.status == GONE:
            return await self._end(context, job, row, attempt, "it failed too often")
        pause_s = PAUSES_S[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)
        pause_s = max(pause_s, min(retry_after_s, RETRY_AFTER_S_MAX))
        async with context.database.transaction() as connection:
            await store.write_attempt(
                connection,
                job.owner_id,
                row["id"],
                state="pending",
                attempt=_json(attempt),
                next_at=utc_now() + timedelta(seconds=pause_s),
            )
            await self._note_failure(connection, row, attempt)
            why = f"status {attempt.status}" if attempt.status is not None else str(attempt.error)
            await jobs.write(connection, job, Again(after_s=pause_s, reason=f"retry after {why}"))
        return jobs.WRITTEN

    async def _end(
        self, context: Context, job: Job, row: asyncpg.Record, attempt: Attempt | None, failure: str | None
    ) -> Outcome:
        """The delivery is over, there or not."""
        owner_id = job.owner_id
        if attempt is None:
            attempt = Attempt(at=utc_now(), error=failure, duration_ms=0)
        async with context.database.transaction() as connection:
            state = "delivered" if failure is None else "failed"
            await store.write_attempt(
                connection, owner_id, row["id"], state=state, attempt=_json(attempt), next_at=None
            )
            if failure is None:
                await store.note_success(connection, owner_id, row["endpoint_id"])
            elif row["is_enabled"]:
                await self._note_failure(connection, row, attempt)
            await jobs.write(connection, job, Done())
        return jobs.WRITTEN

    async def _note_failure(self, connection: Connection, row: asyncpg.Record, attempt: Attempt) -> None:
        """An endpoint that says so, or that has been dead for days, is turned off, and its owner told."""
        owner_id, endpoint_id = row["owner_id"], row["endpoint_id"]
        reason = None
        if await store.note_failure(connection, owner_id, endpoint_id, DEAD_S):
            reason = "it has not worked for 3 days"
        if attempt.status == GONE:
            reason = "it answered 410 Gone"
        if reason is not None and await store.disable(connection, owner_id, endpoint_id, reason):
            log.get("webhooks").warning("an endpoint is turned off", id=endpoint_id, reason=reason)
            await mail_owner(connection, owner_id, row["leads_to"], reason)


async def mail_owner(connection: Connection, owner_id: AccountId, url: str, reason: str) -> None:
    """Mail jobs for the people of an account: an endpoint of theirs was turned off."""
    text = (
        f"Your webhook endpoint\n\n    {url}\n\nwas turned off: {reason}. No events are sent there any more.\n\n"
        'Once it works again, turn it on with PATCH /v1/webhooks/{id} and {"enabled": true}. '
        "Events of the last 30 days can be sent again, one by one."
    )
    for email in await addresses_of(connection, owner_id):
        mail = Mail(to=email, subject="A webhook endpoint was turned off", text=text)
        await jobs.enqueue(connection, NewJob(kind=MAIL, owner_id=owner_id, payload=mail))


def handlers(webhooks: Webhooks) -> tuple[Handler, ...]:
    """For the engine."""

    async def emit(context: Context, job: Job) -> Outcome:
        payload: ToEmit = job.payload
        async with context.database.transaction() as connection:
            await webhooks.emit(connection, job.owner_id, Event(type=payload.type, data=payload.data))
            await jobs.write(connection, job, Done())
        await jobs.announce(context.database)
        return jobs.WRITTEN

    deliveries = Deliveries(webhooks)
    return (
        Handler(
            kind=DELIVER,
            payload=ToDeliver,
            run=deliveries.deliver,
            concurrency_max=AT_ONCE_MAX,
            attempts_max=FAULTS_MAX,
            timeout_s=TIMEOUT_S + 30.0,
        ),
        Handler(kind=EMIT, payload=ToEmit, run=emit),
    )


async def sweep(context: Context) -> None:
    """Forget what is old, and the oldest of owners who have too much."""
    async with context.database.connection() as connection:
        await _in_rounds(lambda: store.delete_old(connection, KEPT_S, ROWS_MAX))
        await _in_rounds(lambda: store.delete_excess(connection, OWNER_MAX, ROWS_MAX))


async def _in_rounds(delete: Callable[[], Awaitable[int]]) -> None:
    for _ in range(ROUNDS_MAX):
        if await delete() < ROWS_MAX:
            return


SCHEDULES = (Schedule(kind="webhooks.sweep", when=Every(SWEEP_S), run=sweep),)


def _json(attempt: Any) -> str:
    return msgspec.json.encode([attempt]).decode()
