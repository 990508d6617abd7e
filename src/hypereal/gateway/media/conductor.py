"""The life of a long call, top to bottom. Each step is a job of the queue; each writes where the next goes on.

    begin        the model's rules, the hold, the job and its first step: one transaction, before anybody is asked
    submit       the intent is written, the vendor asked, its task written: `submitting.py`
    poll         until the vendor says how it ended: `polling.py`
    copy         what was made comes into our storage: `copying.py`
    the end      state, money, log and events: one transaction (`ending.py`)

What a target fails at goes to the next one (`deciding.py`). A worker may die at any moment: what it had claimed comes
to another, who reads here how far it was.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from hypereal import jobs, ledger
from hypereal.catalog import MediaOrder, Model
from hypereal.gateway.media import store
from hypereal.gateway.media.copying import copy
from hypereal.gateway.media.ending import End, end_in, told
from hypereal.gateway.media.job import Ask, MediaJob, Origin, State, job_of
from hypereal.gateway.media.live import Listener
from hypereal.gateway.media.polling import poll
from hypereal.gateway.media.studio import COPY, POLL, SUBMIT, Studio, ToDo
from hypereal.gateway.media.submitting import submit
from hypereal.jobs import Context, Handler, Job, NewJob, Outcome
from hypereal.kit.access import Caller
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Connection
from hypereal.kit.errors import Conflict, NotFound
from hypereal.kit.ids import AccountId, JobId, KeyId, new_ordered_id
from hypereal.kit.money import Micro
from hypereal.ledger import Payer

TTL_S = {"image": 1800.0, "video": 6 * 3600.0, "audio": 3600.0}
"""From the request to the end, whatever happens."""
CANCEL_LOOKS, CANCEL_LOOK_S = 10, 1.0
"""How long who cancels waits to see how it ended."""
NO_KEY = KeyId("session")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that its model's rules have passed."""

    model: Model
    order: MediaOrder
    ask: Ask
    targets: tuple[str, ...]
    origin: Origin
    idempotency_key: str | None = None
    body: bytes = b""
    """As it came: what an idempotency key is good for."""
    listener: Listener | None = None
    """Who hears it while it is made, where this makes a new job."""


class _Payer(msgspec.Struct, frozen=True, kw_only=True):
    owner_id: AccountId
    key_id: KeyId
    spending_limit: Micro | None


class Conductor:
    """One for a process."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._database = studio.database

    # -- by whoever asks -------------------------------------------------------------------------------------------

    async def begin(self, caller: Caller, asked: Asked) -> MediaJob:
        """The job made of ASKED; the one that was made before where its idempotency key says so.

        Raises InsufficientCredits, SpendingLimitReached, Conflict, InvalidRequest: then nothing was made or held.
        """
        payer = _Payer(owner_id=caller.owner_id, key_id=caller.key_id or NO_KEY, spending_limit=caller.spending_limit)

        made = JobId(new_ordered_id("job"))
        ask = msgspec.json.encode(asked.ask)
        sealed = await asyncio.to_thread(self.studio.sealer.seal, caller.owner_id, made, ask)

        async def work(connection: Connection) -> jobs.Answer:
            await self._add(connection, payer, asked, made, sealed)
            return jobs.Answer(status=202, body=made.encode())

        async def once() -> JobId:
            if asked.idempotency_key is None:
                async with self._database.transaction() as connection:
                    return JobId((await work(connection)).body.decode())
            request = jobs.Asked(
                owner_id=caller.owner_id,
                key=asked.idempotency_key,
                route=f"POST /v1/{asked.origin.endpoint}",
                body=asked.body,
            )
            return JobId((await jobs.once(self._database, request, work)).body.decode())

        job_id = await ledger.with_recall(self._database, once)
        if asked.listener is not None and job_id == made:
            self.studio.live.join(made, asked.listener)
        await jobs.announce(self._database)
        return await self.find(caller.owner_id, job_id)

    async def _add(self, connection: Connection, payer: Payer, asked: Asked, job_id: JobId, sealed: bytes) -> None:
        order, kind = asked.order, asked.model.kind.value
        new = NewJob(kind=SUBMIT, owner_id=payer.owner_id, payload=ToDo(id=job_id))
        [queue_id] = await jobs.enqueue(connection, new)
        job = MediaJob(
            id=job_id,
            owner_id=payer.owner_id,
            key_id=payer.key_id,
            kind=kind,
            model=asked.model.id,
            state=State.QUEUED,
            targets=asked.targets,
            target=0,
            round=0,
            queue_id=queue_id,
            per=order.per,
            n=order.n,
            units=order.units,
            unit_price=order.unit_price,
            price_version=order.price_version,
            cost=None,
            outputs=(),
            error=None,
            progress=None,
            waiting="queued",
            is_cancel_asked=False,
            request=asked.origin,
            created_at=utc_now(),
            begun_at=None,
            deadline_at=utc_now(),
            finished_at=None,
        )
        await store.add(connection, payer.owner_id, job, sealed, TTL_S[kind])
        await ledger.hold_for_job(connection, payer, job_id, order.worst_case)

    async def find(self, owner_id: AccountId, job_id: JobId) -> MediaJob:
        """Raises NotFound."""
        async with self._database.connection() as connection:
            row = await store.find(connection, owner_id, job_id)
        if row is None:
            raise NotFound("There is no such job.")
        return job_of(row)

    async def list_jobs(
        self, owner_id: AccountId, *, kind: str | None = None, before: JobId | None = None, limit: int
    ) -> list[MediaJob]:
        """The newest LIMIT jobs that are older than BEFORE."""
        async with self._database.connection() as connection:
            return [job_of(row) for row in await store.list_jobs(connection, owner_id, kind, before, limit)]

    async def wait(self, owner_id: AccountId, job_id: JobId, timeout_s: float) -> MediaJob:
        """The job once it has ended, or as it is after TIMEOUT_S. Who leaves does not cancel it."""
        found = await self.find(owner_id, job_id)

        async def is_over() -> bool:
            nonlocal found
            found = await self.find(owner_id, job_id)
            return found.is_final

        await self.studio.waiters.until(job_id, is_over, timeout_s)
        return found

    async def cancel(self, owner_id: AccountId, job_id: JobId) -> MediaJob:
        """Stop a job: what no vendor has gives its whole hold back. Raises NotFound, Conflict where it is too late."""
        async with self._database.transaction() as connection:
            row = await store.find(connection, owner_id, job_id, locks=True)
            if row is None:
                raise NotFound("There is no such job.")
            job = job_of(row)
            if job.state is State.CANCELLED:
                return job
            if job.is_final or job.state is State.COPYING:
                raise Conflict(f"This job is {'done' if job.state is State.COPYING else job.state} already.")
            is_ended = job.state is State.QUEUED
            if is_ended:
                await end_in(self.studio, connection, job, End(state=State.CANCELLED))
            else:
                await store.ask_cancel(connection, owner_id, job_id)
        await told(self.studio, job)
        for _ in range(0 if is_ended else CANCEL_LOOKS):
            await self._hasten(owner_id, job_id)
            if (job := await self.wait(owner_id, job_id, CANCEL_LOOK_S)).is_final:
                break
        return await self.find(owner_id, job_id)

    async def _hasten(self, owner_id: AccountId, job_id: JobId) -> None:
        """Have the job's next step done now. One that is under way does not know yet what is new."""
        async with self._database.connection() as connection:
            await jobs.hasten(connection, (await self.find(owner_id, job_id)).queue_id)
        await jobs.announce(self._database)

    # -- by the queue ----------------------------------------------------------------------------------------------

    def handlers(self) -> tuple[Handler, ...]:
        """The steps."""
        return (
            Handler(
                kind=SUBMIT, payload=ToDo, run=self._step(submit), concurrency_max=64, timeout_s=1900, attempts_max=30
            ),
            Handler(
                kind=POLL, payload=ToDo, run=self._step(poll), concurrency_max=500, timeout_s=300, attempts_max=100
            ),
            Handler(kind=COPY, payload=ToDo, run=self._step(copy), concurrency_max=16, timeout_s=3900, attempts_max=30),
        )

    def _step(self, step: Callable[[Studio, Job], Awaitable[Outcome]]) -> Callable[[Context, Job], Awaitable[Outcome]]:
        async def run(_: Context, job: Job) -> Outcome:
            return await step(self.studio, job)

        return run
