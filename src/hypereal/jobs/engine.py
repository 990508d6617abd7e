"""Running jobs: one `Engine` a process claims what is due, runs it, and writes what came of it.

Nothing is written but under the job's token, so a worker that was taken for dead can do no harm in the database. What
it does elsewhere is stopped by its own clock, no later than its claim ends.
"""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress

import asyncpg
import msgspec

from hypereal.jobs import store
from hypereal.jobs.job import WRITTEN, Again, Context, Done, Failed, Handler, Job, Outcome, Retry, Schedule, Written
from hypereal.jobs.queue import CHANNEL, HOUSE, Lost, step_of, text_of
from hypereal.kit import log
from hypereal.kit.clock import boottime_s
from hypereal.kit.db import UNREACHABLE, Database, Feed
from hypereal.kit.ids import JobId

CLAIM_S = 30.0
RENEW_S = 8.0
LOOK_S_MAX = 1.0
"""A notice may be lost; nothing that is due waits longer than this."""
AWAY_S = 1.0
"""Between tries while the database is away or refuses."""
RETRY_S_MAX = 3600.0
BATCH_MAX = 500
CONNECTIONS_MAX = 2
"""One claims, one writes."""
DRAIN_S_MAX = 3600.0
STOP_S_MAX = 2.0
FAILURES = (*UNREACHABLE, asyncpg.PostgresError)


class _Claim:
    """A job of ours: the task that runs it, and until when it surely is ours (by `boottime_s`)."""

    __slots__ = ("is_stopped", "job", "step", "task", "until_s")

    def __init__(self, job: Job, until_s: float) -> None:
        self.job = job
        self.until_s = until_s
        self.is_stopped = False
        """Its task is cancelled because this process ends, not because the job is lost."""
        self.task: asyncio.Task[None] | None = None
        self.step: store.Step | None = None
        """What came of it, once it ended."""


class Engine:
    """Works from `start` to `stop`. HANDLERS and SCHEDULES are all that this process knows; it claims nothing else."""

    def __init__(
        self, context: Context, feed: Feed, handlers: Iterable[Handler], schedules: Iterable[Schedule] = ()
    ) -> None:
        self._context = context
        self._database = Database(context.database.url, connections_max=CONNECTIONS_MAX)
        """Of its own: handlers that use up the others must not keep their claims from being renewed."""
        self._schedules = {schedule.kind: schedule for schedule in schedules}
        known = [*handlers, *(_as_handler(schedule) for schedule in self._schedules.values())]
        self._handlers = {handler.kind: handler for handler in known}
        if len(self._handlers) != len(known):
            raise ValueError("two handlers of one kind")
        self._free = {handler.kind: handler.concurrency_max for handler in known}
        self._claims: dict[JobId, _Claim] = {}
        self._ended: list[_Claim] = []
        self._look = asyncio.Event()
        self._write = asyncio.Event()
        self._running: asyncio.Task[None]
        self._is_stopping = False
        self._renews_now = False
        """A job of ours was cancelled: do not wait for the next renewal to find out."""
        feed.on(CHANNEL, self._noticed)

    def start(self) -> None:
        """Work until `stop`. A database that is away is waited for."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, drain_s: float) -> None:
        """Claim nothing more; let open handlers end for DRAIN_S, then stop them: others go on with their jobs."""
        self._is_stopping = True
        self._look.set()
        await asyncio.wait({self._running}, timeout=min(drain_s, DRAIN_S_MAX))
        for claim in self._claims.values():
            if claim.task is not None:
                claim.is_stopped = True
                claim.task.cancel()
        await asyncio.wait({self._running}, timeout=STOP_S_MAX)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        await self._open()
        writer = asyncio.get_running_loop().create_task(self._keep_writing())
        try:
            await self._plan()
            while not self._is_stopping:
                self._look.clear()
                try:
                    wait_s = await self._claim()
                except FAILURES as error:
                    log.get("jobs").warning("nothing is claimed", error=str(error))
                    wait_s = AWAY_S
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._look.wait(), wait_s)
            while self._claims:
                self._look.clear()
                await self._look.wait()
        finally:
            for task in (writer, *(claim.task for claim in self._claims.values() if claim.task)):
                task.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._database.close()

    async def _open(self) -> None:
        while not self._is_stopping:
            try:
                return await self._database.open()
            except UNREACHABLE as error:
                log.get("jobs").warning("no jobs are run yet", error=str(error))
                await asyncio.sleep(AWAY_S)

    # -- claiming ------------------------------------------------------------------------------------------------

    def _noticed(self, job_id: str | None) -> None:
        """Something may be due; or the job JOB_ID was cancelled."""
        self._look.set()
        if job_id in self._claims:
            self._renews_now = True
            self._write.set()

    async def _plan(self) -> None:
        """Write the jobs of schedules that were never planned."""
        while not self._is_stopping:
            try:
                async with self._database.transaction() as connection:
                    now = await store.now(connection)
                    for schedule in sorted(self._schedules.values(), key=lambda one: one.kind):
                        at = schedule.when.next(now, now)
                        await store.plan(connection, JobId(f"schedule/{schedule.kind}"), schedule.kind, HOUSE, at)
            except FAILURES as error:
                log.get("jobs").warning("schedules are not planned", error=str(error))
                await asyncio.sleep(AWAY_S)
            else:
                return

    async def _claim(self) -> float:
        """Claim and start what is due and fits. How long to wait before the next look."""
        slots = {kind: free for kind, free in self._free.items() if free > 0}
        if not slots:
            return LOOK_S_MAX
        kinds = list(slots)
        random.shuffle(kinds)
        until_s = boottime_s() + CLAIM_S
        async with self._database.connection() as connection:
            rows = await store.claim(connection, kinds, [min(BATCH_MAX, slots[kind]) for kind in kinds], CLAIM_S)
            next_s = None if rows else await store.next_due_s(connection, kinds)
        for row in rows:
            self._start(dict(row), until_s)
        if rows:
            return 0.0 if any(self._free[row["kind"]] > 0 for row in rows) else LOOK_S_MAX
        return LOOK_S_MAX if next_s is None else max(0.001, min(LOOK_S_MAX, next_s))

    def _start(self, row: dict[str, object], until_s: float) -> None:
        payload = str(row.pop("payload")).encode()
        job = Job(payload=None, **row)  # type: ignore[arg-type]
        claim = _Claim(job, until_s)
        self._free[job.kind] -= 1
        self._claims[job.id] = claim
        claim.task = asyncio.get_running_loop().create_task(self._conduct(claim, payload))
        claim.task.add_done_callback(lambda task: self._conducted(claim, task))

    # -- running -------------------------------------------------------------------------------------------------

    async def _conduct(self, claim: _Claim, payload: bytes) -> None:
        """The life of one claim: what came of it is its `step`, none where it is not ours to write."""
        job, handler, error = claim.job, self._handlers[claim.job.kind], None
        try:
            outcome = await self._outcome(handler, job, payload)
        except asyncio.CancelledError:
            if not claim.is_stopped:
                return
            outcome = Again(reason="its worker was stopped")
        if isinstance(outcome, Retry | Failed):
            error = outcome.error
            log.get("jobs").warning("a job failed", id=job.id, kind=job.kind, attempts=job.attempts, error=error)
        if isinstance(outcome, Retry) and job.attempts >= handler.attempts_max:
            outcome = Failed(outcome.error)
        if job.kind in self._schedules and isinstance(outcome, Done | Failed):
            outcome = await self._next(self._schedules[job.kind], job)
        if not isinstance(outcome, Written):
            step = step_of(job, outcome, _pause_s(handler, job.attempts))
            claim.step = msgspec.structs.replace(step, error=step.error if error is None else text_of(error))

    def _conducted(self, claim: _Claim, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.get("jobs").error("the engine failed", id=claim.job.id, exc_info=fault)
        if claim.step is None:
            self._forget(claim)
        else:
            self._ended.append(claim)
            self._write.set()

    async def _outcome(self, handler: Handler, job: Job, payload: bytes) -> Outcome:
        if job.attempts > handler.attempts_max:
            return Failed("its workers died")
        try:
            if handler.payload is not None:
                job = msgspec.structs.replace(job, payload=msgspec.json.decode(payload, type=handler.payload))
        except msgspec.MsgspecError as error:
            return Failed(f"its payload cannot be read: {error}")
        try:
            async with asyncio.timeout(handler.timeout_s):
                return await handler.run(self._context, job)
        except Lost:
            return WRITTEN
        except TimeoutError:
            return Retry(error=f"not done in {handler.timeout_s:g} s, or something in it was not")
        except Exception as error:
            log.get("jobs").exception("a handler failed", id=job.id, kind=job.kind)
            return Retry(error=f"{type(error).__name__}: {error}")

    async def _next(self, schedule: Schedule, job: Job) -> Again:
        """A schedule never ends, however it fares."""
        while True:
            try:
                async with self._database.connection() as connection:
                    now = await store.now(connection)
            except FAILURES:
                await asyncio.sleep(AWAY_S)
            else:
                return Again(at=schedule.when.next(job.planned_at, now), reason="scheduled")

    # -- writing -------------------------------------------------------------------------------------------------

    async def _keep_writing(self) -> None:
        """Write what ended and renew what runs, one statement at a time: two would lock the same rows."""
        renewed_s = boottime_s()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._write.wait(), max(0.0, renewed_s + RENEW_S - boottime_s()))
            self._write.clear()
            try:
                await self._write_ended()
                if self._renews_now or boottime_s() >= renewed_s + RENEW_S:
                    self._renews_now = False
                    await self._renew()
                    renewed_s = boottime_s()
            except FAILURES as error:
                log.get("jobs").warning("nothing is written", error=str(error))
                self._drop_expired()
                await asyncio.sleep(AWAY_S)
                self._write.set()

    async def _write_ended(self) -> None:
        while self._ended:
            batch = self._ended[:BATCH_MAX]
            async with self._database.connection() as connection:
                written = await store.write(connection, [claim.step for claim in batch if claim.step])
            del self._ended[: len(batch)]
            for claim in batch:
                if claim.job.id not in written:
                    log.get("jobs").warning("a job was taken over", id=claim.job.id, kind=claim.job.kind)
                self._forget(claim)

    async def _renew(self) -> None:
        claims = [claim for claim in self._claims.values() if claim.step is None]
        if not claims:
            return
        until_s = boottime_s() + CLAIM_S
        async with self._database.connection() as connection:
            ours = await store.renew(connection, [(claim.job.id, claim.job.token) for claim in claims], CLAIM_S)
        for claim in claims:
            if claim.job.id in ours:
                claim.until_s = until_s
            elif claim.step is None and claim.task is not None:
                claim.task.cancel()

    def _drop_expired(self) -> None:
        """While the database is away, claims run out: others may have them by now."""
        now_s = boottime_s()
        for claim in self._claims.values():
            if claim.until_s <= now_s and claim.step is None and claim.task is not None:
                claim.task.cancel()

    def _forget(self, claim: _Claim) -> None:
        if self._claims.get(claim.job.id) is claim:
            del self._claims[claim.job.id]
        self._free[claim.job.kind] += 1
        self._look.set()


def _as_handler(schedule: Schedule) -> Handler:
    async def run(context: Context, _: Job) -> Outcome:
        await schedule.run(context)
        return Done()

    return Handler(
        kind=schedule.kind, payload=None, run=run, concurrency_max=1, attempts_max=3, timeout_s=schedule.timeout_s
    )


def _pause_s(handler: Handler, attempts: int) -> float:
    """Doubling, with jitter so that what failed together is not tried together."""
    doubled_s = handler.retry_s * 2.0 ** min(attempts - 1, 30)
    return min(RETRY_S_MAX, doubled_s) * random.uniform(0.5, 1.0)
