"""What the steps of a media job work with, and what they share: loading, going on, ending."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from hypereal import jobs
from hypereal.gateway.media import store
from hypereal.gateway.media.addresses import Addresses
from hypereal.gateway.media.job import Ask, MediaJob, Part, job_of, part_of
from hypereal.gateway.media.live import Live
from hypereal.gateway.media.ways import Ways
from hypereal.jobs import WRITTEN, Again, Done, Job, NewJob, Outcome
from hypereal.kit.db import Connection, Database, Feed
from hypereal.kit.ids import AccountId, JobId
from hypereal.kit.outbound import Outbound
from hypereal.kit.sealing import Sealer
from hypereal.storage import Storage
from hypereal.webhooks import Webhooks

SUBMIT, POLL, COPY = "media.submit", "media.poll", "media.copy"
PURPOSE = b"hypereal media jobs 1"
CHANNEL = "media_jobs"
"""Notices name jobs that have ended."""
PARTS_MAX = 16
"""Of one target in one round; a job's outputs are fewer."""
LOOK_S = 1.0
"""A notice may be lost: how often who waits looks by itself."""


class ToDo(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of the queue's jobs; their owner is the media job's."""

    id: JobId


class Waiters:
    """Requests that wait for a job to end."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}

    def listen(self, feed: Feed) -> None:
        """Hear of ends by notices of FEED, which is not started yet."""
        feed.on(CHANNEL, self._noticed)

    async def until(self, job_id: JobId, is_over: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
        """Whether IS_OVER became true within TIMEOUT_S."""
        event = asyncio.Event()
        self._events.setdefault(job_id, set()).add(event)
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        try:
            while not await is_over():
                left_s = deadline_s - asyncio.get_running_loop().time()
                if left_s <= 0:
                    return False
                event.clear()
                try:
                    await asyncio.wait_for(event.wait(), min(left_s, LOOK_S))
                except TimeoutError:
                    pass
            return True
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]

    def _noticed(self, job_id: str | None) -> None:
        events = (
            self._events.get(job_id, ()) if job_id is not None else [e for all_ in self._events.values() for e in all_]
        )
        for event in list(events):
            event.set()


class Studio:
    """The parts of this process that media jobs need. `ways` is replaced when settings are read again."""

    def __init__(
        self, webhooks: Webhooks, storage: Storage, *, secret: str, ways: Ways, public_url: str | None
    ) -> None:
        self.database: Database = webhooks.database
        self.outbound: Outbound = webhooks.outbound
        self.webhooks = webhooks
        self.storage = storage
        self.sealer = Sealer(secret, PURPOSE)
        self.ways = ways
        self.materials = ways.materials
        self.addresses = Addresses(secret, public_url)
        self.public_url = public_url or ""
        """What links begin with where no request says it."""
        self.waiters = Waiters()
        self.live = Live()

    async def load(self, todo: Job) -> tuple[MediaJob, list[Part]] | None:
        """The job and its parts; None where it is gone."""
        payload: ToDo = todo.payload
        async with self.database.connection() as connection:
            row = await store.find(connection, todo.owner_id, payload.id)
            if row is None:
                return None
            parts = await store.list_parts(connection, todo.owner_id, payload.id)
        return job_of(row), [part_of(part) for part in parts]

    async def ask_of(self, connection: Connection, owner_id: AccountId, job_id: JobId) -> Ask | None:
        """What was asked for; None once the job has ended, or where the server's secret has changed."""
        sealed = await store.find_ask(connection, owner_id, job_id)
        if sealed is None:
            return None
        opened = await asyncio.to_thread(self.sealer.open, owner_id, job_id, sealed)
        return None if opened is None else msgspec.json.decode(opened, type=Ask)

    async def keep(self, todo: Job, job: MediaJob, part: Part) -> None:
        """Write what became of PART, at once. Raises Lost."""
        async with self.database.transaction() as connection:
            await jobs.confirm(connection, todo)
            await store.write_parts(connection, job.owner_id, job.id, [part])

    async def again(self, todo: Job, job: MediaJob, move: store.Move, after_s: float, *parts: Part) -> Outcome:
        """This step is to be done again, after a pause whose reason MOVE has. Raises Lost."""
        reason = move.waiting or "going on"
        async with self.database.transaction() as connection:
            await jobs.write(connection, todo, Again(after_s=after_s, reason=reason))
            await store.write_parts(connection, job.owner_id, job.id, parts)
            await store.move(connection, job.owner_id, job.id, move)
        return WRITTEN

    async def hand_on(
        self, todo: Job, job: MediaJob, kind: str, move: store.Move, *parts: Part, after_s: float = 0.0
    ) -> Outcome:
        """This step is done; the one of KIND is next. Raises Lost."""
        new = NewJob(kind=kind, owner_id=job.owner_id, payload=ToDo(id=job.id), after_s=after_s)
        async with self.database.transaction() as connection:
            await jobs.write(connection, todo, Done())
            await store.write_parts(connection, job.owner_id, job.id, parts)
            [queue_id] = await jobs.enqueue(connection, new)
            await store.move(connection, job.owner_id, job.id, msgspec.structs.replace(move, queue_id=queue_id))
        await jobs.announce(self.database)
        return WRITTEN


def number_from(job: MediaJob) -> int:
    """The number of the first part of the target that JOB is with, in this round."""
    return (job.round * len(job.targets) + job.target) * PARTS_MAX


def current(job: MediaJob, parts: list[Part]) -> list[Part]:
    """Those of PARTS that are of the target that JOB is with, in this round."""
    first = number_from(job)
    return [part for part in parts if first <= part.number < first + PARTS_MAX]
