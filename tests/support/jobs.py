"""An engine for tests, in this process or one of its own that can be killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec

from hypereal.jobs import Context, Done, Engine, Handler, Job, Outcome, Row, Schedule, State, engine, find
from hypereal.kit import log
from hypereal.kit.db import Database, Feed
from hypereal.kit.ids import JobId
from hypereal.kit.settings import Settings

WAIT_S_MAX = 20.0


class Note(msgspec.Struct):
    """The payload of test jobs."""

    text: str = ""


@asynccontextmanager
async def working(
    database: Database,
    *handlers: Handler,
    schedules: Iterable[Schedule] = (),
    settings: Settings | None = None,
    drain_s: float = 5.0,
) -> AsyncIterator[Engine]:
    """An engine that runs HANDLERS while the block runs."""
    feed = Feed(database.url)
    engine = Engine(Context(database=database, settings=settings or Settings()), feed, handlers, schedules)
    feed.start()
    await feed.connected.wait()
    engine.start()
    try:
        yield engine
    finally:
        await engine.stop(drain_s)
        await feed.stop()


async def until(database: Database, job_id: JobId, *states: State) -> Row:
    """The job, once it is in one of STATES."""
    async with asyncio.timeout(WAIT_S_MAX):
        while (row := await find(database, job_id)).state not in states:
            await asyncio.sleep(0.01)
    return row


async def worker_process(url: str, claim_s: float) -> asyncio.subprocess.Process:
    """A process that runs jobs of the kind `test.note`: each writes its token into `steps`, then takes ten minutes."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.jobs", url, str(claim_s), env=environ
    )


async def _work(url: str) -> None:
    database = Database(url)
    await database.open()

    async def run(context: Context, job: Job) -> Outcome:
        async with context.database.connection() as connection:
            await connection.execute("INSERT INTO steps (job_id, token) VALUES ($1, $2)", job.id, job.token)
        await asyncio.sleep(600)
        return Done()

    async with working(database, Handler(kind="test.note", payload=Note, run=run, timeout_s=1000)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    log.configure(process="test", level="error")
    engine.CLAIM_S = float(sys.argv[2])
    asyncio.run(_work(sys.argv[1]))
