"""Workers that are killed at any moment: another goes on where they were. Nothing is begun twice, nobody pays twice."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.background import Background, Gate
from tests.support.ledger import micro
from tests.support.media import Studio, studio, worker_process
from tests.support.media_vendors import MediaVendor
from tests.support.media_vendors.wire import Task
from tests.support.upstream import Recorded, Script

from hypereal.catalog import Kind
from hypereal.gateway.media.job import State
from hypereal.kit.db import Database
from hypereal.ledger import audit, balance

JOBS, KILLS = int(os.environ.get("HYPEREAL_TEST_STORM_JOBS", "60")), 12
SEED = 11
ALIVE_S = (0.4, 1.6)
"""How long a worker works before it is killed."""


HURRY = """
UPDATE jobs SET due_at = clock_timestamp()
WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' AND due_at > clock_timestamp() FOR UPDATE SKIP LOCKED)
"""


class GatedVendor(MediaVendor):
    """Holds the next answer of a sort back, after it took effect, until the test lets it go."""

    def __init__(self, background: Background, name: str) -> None:
        self.gates: dict[str, Gate] = {}
        super().__init__(background, name)

    def hold(self, where: str) -> Gate:
        self.gates[where] = self.gate()
        return self.gates[where]

    def task(self, task_id: str) -> Task | None:
        """By its id, or by ours: Kling is asked for either."""
        ours = (task for task in self.tasks if task.asked.json.get("external_task_id") == task_id)
        return super().task(task_id) or next(ours, None)

    def _play(self, recorded: Recorded) -> Script:
        script = super()._play(recorded)
        where = "file" if recorded.path.startswith("/files/") else recorded.head.split(b" ", 1)[0].decode()
        gate = self.gates.pop(where, None)
        return script if gate is None else [gate, *script]


@asynccontextmanager
async def worker(database: Database, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await worker_process(database.url, folder, [])
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def killed_while(database: Database, folder: Path, here: Studio, gate: Gate, **body: object) -> Studio:
    """A worker does what is asked, and is killed when the vendor has it in hand."""
    async with worker(database, folder) as process:
        await asyncio.to_thread(gate.wait_reached)
        process.kill()
    gate.open()
    return here


@pytest.fixture
def vendor(background: Background, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    running = GatedVendor(background, request.param)
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    yield running
    running.close()


@pytest.mark.parametrize("vendor", ["toapis"], indirect=True)
@pytest.mark.parametrize("where", ["GET", "file"])
async def test_a_task_that_was_written_is_gone_on_with(vendor, where, database, tmp_path):
    async with studio(database, tmp_path, works=False) as here:
        caller = await here.caller(500)
        gate = vendor.hold(where)
        job = await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash")
        hastening = asyncio.create_task(_hasten(here, job))
        await killed_while(database, tmp_path, here, gate)
        async with worker(database, tmp_path):
            job = await here.ended(job)
        hastening.cancel()
    assert (job.state, job.cost, len(vendor.tasks)) == (State.COMPLETED, micro(100), 1)
    assert (await balance(database, caller.owner_id)).free == micro(400)
    assert await audit(database) == []


@pytest.mark.parametrize("vendor", ["toapis"], indirect=True)
async def test_what_may_have_begun_is_not_asked_again(vendor, database, tmp_path):
    async with studio(database, tmp_path, works=False) as here:
        caller = await here.caller(500)
        gate = vendor.hold("POST")
        job = await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash")
        await killed_while(database, tmp_path, here, gate)
        async with worker(database, tmp_path):
            job = await here.ended(job)
    assert job.error is not None
    assert (job.state, len(vendor.tasks)) == (State.FAILED, 1)
    assert "not asked again" in job.error.message
    assert (await balance(database, caller.owner_id)).free == micro(500)
    assert await audit(database) == []


@pytest.mark.parametrize("vendor", ["kling"], indirect=True)
async def test_what_may_have_begun_is_found_where_the_vendor_can_be_asked(vendor, database, tmp_path):
    async with studio(database, tmp_path, works=False) as here:
        caller = await here.caller(500)
        gate = vendor.hold("POST")
        job = await here.begin(caller, Kind.VIDEO, model="kling-v3")
        await killed_while(database, tmp_path, here, gate)
        async with worker(database, tmp_path):
            job = await here.ended(job)
    assert (job.state, job.cost, len(vendor.tasks)) == (State.COMPLETED, micro(42), 1)
    assert (await balance(database, caller.owner_id)).free == micro(458)
    assert await audit(database) == []


async def _hasten(here: Studio, job) -> None:
    while True:
        await here.hasten(job)
        await asyncio.sleep(0.02)


async def _storm(database: Database, folder: Path) -> None:
    """Workers come and are killed, KILLS times; then one stays until all is done."""
    chance = random.Random(SEED)
    hurrying = asyncio.create_task(_hurry(database))
    for _ in range(KILLS):
        async with worker(database, folder) as process:
            await asyncio.sleep(chance.uniform(*ALIVE_S))
            process.kill()
    async with worker(database, folder):
        await hurrying


async def _hurry(database: Database) -> None:
    """No step waits for its time, until every job has ended."""
    while True:
        async with database.connection() as connection:
            await connection.execute(HURRY)
            if not await connection.fetchval("SELECT count(*) FROM media_jobs WHERE finished_at IS NULL"):
                return
        await asyncio.sleep(0.2)


@pytest.mark.timeout(240)
async def test_in_a_storm_of_faults_and_kills_every_job_ends_and_the_books_agree(
    background: Background, monkeypatch, database, tmp_path
):
    """Vendors fail at random, and workers are killed at random."""
    chance = random.Random(SEED)
    vendors = {name: MediaVendor(background, name) for name in ("ark", "toapis", "bfl")}
    for vendor in vendors.values():
        for name, value in vendor.environ.items():
            monkeypatch.setenv(name, value)
        vendor.usual = [("running", 0.5), "done"]
        faults = ("vendor", "rate", "cut", "bare_502", "html", "caller", "balance", "no_answer")
        vendor.break_next("submit", *(chance.choice(("", "", "", *faults)) for _ in range(4 * JOBS)))
        vendor.break_next("poll", *(chance.choice(("", "", "", "cut", "bare_502", "html")) for _ in range(4 * JOBS)))
        vendor.break_next("file", *(chance.choice(("", "", "cut", "bare_502")) for _ in range(4 * JOBS)))
        for _ in range(JOBS):
            vendor.plan(chance.choice([["queued", "done"], [("running", 0.2), "done"], ["failed"], ["done"]]))
    models = (("doubao-seedance-2-0-fast", Kind.VIDEO), ("gemini_omni_flash", Kind.VIDEO), ("flux-2-pro", Kind.IMAGE))
    async with studio(database, tmp_path, works=False) as here:
        caller = await here.caller(100_000)
        jobs = []
        for number in range(JOBS):
            model, kind = models[number % len(models)]
            jobs.append(await here.begin(caller, kind, model=model, **({"n": 2} if kind is Kind.IMAGE else {})))
        await _storm(database, tmp_path)
        ended = [await here.conductor.find(caller.owner_id, job.id) for job in jobs]
    assert all(job.is_final for job in ended)
    assert {State.COMPLETED, State.FAILED} <= {job.state for job in ended}
    begun = Counter(task.asked.json["client_business_id"] for task in vendors["toapis"].tasks)
    assert max(begun.values()) == 1, "a task was begun twice"
    paid = sum(job.cost or 0 for job in ended)
    wallet = await balance(database, caller.owner_id)
    assert (wallet.ledger, wallet.free) == (micro(100_000) - paid, micro(100_000) - paid)
    assert all(job.cost == 0 for job in ended if job.state is State.FAILED)
    assert await audit(database) == []
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM job_holds") == 0
        rows = await connection.fetchval("SELECT count(*) FROM usage WHERE owner_id = $1", caller.owner_id)
    assert rows == JOBS
    for vendor in vendors.values():
        vendor.close()
