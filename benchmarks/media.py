"""Media jobs: 500 videos at a vendor, polled by one worker; then how soon a new job is begun beside 10,000 that wait,
and how long a page of the list takes. `python benchmarks/media.py`, on an embedded PostgreSQL of its own.

The vendor is a process of its own; the worker's has everything else of this file in it.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tests.support.jobs import working
from tests.support.media import SECRET, Studio, settings

from hypereal.catalog import Kind
from hypereal.gateway.media.conductor import Conductor
from hypereal.gateway.media.studio import POLL, SUBMIT
from hypereal.jobs import Context, Handler, Job, Outcome
from hypereal.kit import log
from hypereal.kit.db import Database
from hypereal.serve import migrate
from hypereal.serve.parts import open_parts
from hypereal.serve.postgres import EmbeddedPostgres

VIDEOS = 500
MEASURED_S = 30.0
WAITING = 10_000
PICKUPS = 100
PAGES = 100
GATE_LATE_MS, GATE_PICKUP_MS, GATE_PAGE_MS = 1000.0, 20.0, 50.0
MODEL = {"model": "gemini_omni_flash"}
VENDOR = """
import sys
from tests.support.background import Background
from tests.support.media_vendors import MediaVendor
vendor = MediaVendor(Background(), "toapis")
vendor.usual = ["running"]
print(vendor.url + vendor.prefix, vendor.key, flush=True)
sys.stdin.read()
"""


class Steps:
    """The conductor's; each notes how long after its time it began."""

    def __init__(self, conductor: Conductor) -> None:
        self.late_ms: dict[str, list[float]] = {}
        self.began = asyncio.Event()
        self.handlers = [self._noting(handler) for handler in conductor.handlers()]

    def _noting(self, handler: Handler) -> Handler:
        async def run(context: Context, job: Job) -> Outcome:
            late_ms = (datetime.now(UTC) - job.planned_at).total_seconds() * 1000
            self.late_ms.setdefault(job.kind, []).append(late_ms)
            self.began.set()
            return await handler.run(context, job)

        return msgspec.structs.replace(handler, run=run)

    async def until(self, kind: str, count: int) -> list[float]:
        """How late the steps of KIND were, once there are COUNT."""
        while len(self.late_ms.get(kind, ())) < count:
            self.began.clear()
            await self.began.wait()
        return sorted(self.late_ms[kind])


async def measure(url: str, folder: Path) -> bool:
    """Print the figures; whether the gates hold."""
    read = settings(folder)
    parts = open_parts(Database(url, connections_max=8), read, SECRET)
    await parts.database.open()
    here, steps = Studio(parts), Steps(parts.media)
    caller = await here.caller(10_000_000)
    async with working(parts.database, *steps.handlers, settings=read):
        for _ in range(VIDEOS):
            await here.begin(caller, Kind.VIDEO, **MODEL)
        await steps.until(POLL, VIDEOS)
        steps.late_ms.clear()
        began_cpu = time.process_time()
        await asyncio.sleep(MEASURED_S)
        late = await steps.until(POLL, 1)
        cpu_us = (time.process_time() - began_cpu) / len(late) * 1e6
        p99 = late[len(late) * 99 // 100]
        print(
            f"late polls    {late[len(late) // 2]:8.2f} ms p50, {p99:.2f} ms p99, {len(late) / MEASURED_S:.0f} a second"
        )
        print(f"CPU a poll    {cpu_us:8.0f} us, the whole worker's")
        async with parts.database.connection() as connection:
            await connection.execute(
                """
                INSERT INTO jobs (id, kind, owner_id, payload, due_at)
                SELECT 'job_wait' || n, 'media.poll', $1, '{"id": "job_0"}', now() + interval '1 hour'
                FROM generate_series(1, $2::int) n
                """,
                caller.owner_id,
                WAITING,
            )
        page_ms = sorted([await page(here, caller.owner_id) for _ in range(PAGES)])
        steps.late_ms.clear()
        for number in range(PICKUPS):
            await here.begin(caller, Kind.VIDEO, **MODEL)
            await steps.until(SUBMIT, number + 1)
        pickup_ms = await steps.until(SUBMIT, PICKUPS)
    print(f"page of 20    {page_ms[PAGES // 2]:8.2f} ms p50, {page_ms[-1]:.2f} ms at most")
    print(f"pickup        {pickup_ms[PICKUPS // 2]:8.2f} ms p50 from row to first step, beside {WAITING} that wait")
    await parts.close()
    return p99 <= GATE_LATE_MS and page_ms[PAGES // 2] <= GATE_PAGE_MS and pickup_ms[PICKUPS // 2] <= GATE_PICKUP_MS


async def page(here: Studio, owner_id: object) -> float:
    """Milliseconds for the newest jobs."""
    began = time.perf_counter()
    await here.conductor.list_jobs(owner_id, limit=21)  # type: ignore[arg-type]
    return (time.perf_counter() - began) * 1000


async def main() -> int:
    """The exit code."""
    folder = Path(tempfile.mkdtemp(prefix="hypereal-bench-"))
    path = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = asyncio.subprocess.PIPE
    vendor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VENDOR, stdin=pipe, stdout=pipe, env={**os.environ, **path}
    )
    postgres = EmbeddedPostgres(folder)
    try:
        assert vendor.stdout is not None
        os.environ["TOAPIS_BASE_URL"], os.environ["TOAPIS_API_KEY"] = (await vendor.stdout.readline()).decode().split()
        url = await postgres.start()
        await asyncio.to_thread(migrate.up, url)
        holds = await measure(url, folder)
    finally:
        vendor.kill()
        await vendor.wait()
        await postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if holds else 1


if __name__ == "__main__":
    log.configure(process="bench", level="error")
    sys.exit(asyncio.run(main()))
