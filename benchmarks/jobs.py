"""The queue: jobs a second with handlers that do nothing, and the time from a commit to a handler's first step.

Pickup is measured beside 10,000 jobs that wait for their time, and polls as media jobs make them: 500 at once, each
asked for again two seconds later, on one engine. `python benchmarks/jobs.py`, on an embedded PostgreSQL of its own.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hypereal.jobs import Again, Context, Done, Engine, Handler, Job, NewJob, Outcome, announce, enqueue
from hypereal.kit import log
from hypereal.kit.db import Database, Feed
from hypereal.kit.settings import Settings
from hypereal.serve import migrate
from hypereal.serve.postgres import EmbeddedPostgres

WAITING = 10_000
EMPTY = 20_000
PICKUPS = 300
POLLED = 500
POLLS = 5
POLL_S = 2.0
GATE_PICKUP_MS = 20.0
GATE_LATE_MS = 1000.0


class Nothing(msgspec.Struct):
    """The payload."""


class Bench:
    """One engine, and what its handlers saw."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ended = 0
        self.all_ended = asyncio.Event()
        self.wanted = 0
        self.picked = asyncio.Event()
        self.late_ms: list[float] = []
        self.polls: dict[str, int] = {}

    async def empty(self, _: Context, __: Job) -> Outcome:
        self._end()
        return Done()

    async def pickup(self, _: Context, __: Job) -> Outcome:
        self.picked.set()
        return Done()

    async def poll(self, _: Context, job: Job) -> Outcome:
        self.late_ms.append((datetime.now(UTC) - job.planned_at).total_seconds() * 1000)
        await asyncio.sleep(0.05)  # the vendor answers
        self.polls[job.id] = number = self.polls.get(job.id, 0) + 1
        if number < POLLS:
            return Again(after_s=POLL_S, reason="polling")
        self._end()
        return Done()

    def expect(self, count: int) -> None:
        self.ended, self.wanted = 0, count
        self.all_ended.clear()

    def _end(self) -> None:
        self.ended += 1
        if self.ended == self.wanted:
            self.all_ended.set()

    async def put(self, kind: str, count: int, after_s: float = 0.0) -> None:
        async with self.database.transaction() as connection:
            await enqueue(connection, *(NewJob(kind=kind, payload=Nothing(), after_s=after_s) for _ in range(count)))


async def measure(url: str) -> bool:
    """Print the figures; whether the gates hold."""
    database, feed = Database(url), Feed(url)
    await database.open()
    bench = Bench(database)
    handlers = [
        Handler(kind="bench.empty", payload=Nothing, run=bench.empty, concurrency_max=500),
        Handler(kind="bench.pickup", payload=Nothing, run=bench.pickup),
        Handler(kind="bench.poll", payload=Nothing, run=bench.poll, concurrency_max=POLLED),
    ]
    engine = Engine(Context(database=database, settings=Settings()), feed, handlers)
    await bench.put("bench.empty", EMPTY)
    await bench.put("bench.pickup", WAITING, after_s=3600)
    bench.expect(EMPTY)
    feed.start()
    await feed.connected.wait()
    began = time.perf_counter()
    engine.start()
    await bench.all_ended.wait()
    print(f"empty handlers      {EMPTY / (time.perf_counter() - began):8.0f} jobs/s")

    pickup_ms = sorted([await pickup(bench) for _ in range(PICKUPS)])
    p50, p99 = pickup_ms[PICKUPS // 2], pickup_ms[PICKUPS * 99 // 100]
    print(f"pickup              {p50:8.2f} ms p50, {p99:.2f} ms p99, beside {WAITING} that wait")

    bench.expect(POLLED)
    await bench.put("bench.poll", POLLED)
    await announce(database)
    began_cpu = time.process_time()
    await bench.all_ended.wait()
    late = sorted(bench.late_ms)
    late_p99 = late[len(late) * 99 // 100]
    cpu_us = (time.process_time() - began_cpu) / len(late) * 1e6
    print(f"late polls          {late[len(late) // 2]:8.2f} ms p50, {late_p99:.2f} ms p99, {POLLED} every {POLL_S:g} s")
    print(f"CPU a poll          {cpu_us:8.0f} us")
    await engine.stop(5)
    await feed.stop()
    await database.close()
    return p50 <= GATE_PICKUP_MS and late_p99 <= GATE_LATE_MS


async def pickup(bench: Bench) -> float:
    """Milliseconds from the commit of a job to its handler's first step."""
    bench.picked.clear()
    await bench.put("bench.pickup", 1)
    began = time.perf_counter()
    await announce(bench.database)
    await bench.picked.wait()
    took_ms = (time.perf_counter() - began) * 1000
    await asyncio.sleep(0.005)
    return took_ms


async def main() -> int:
    """The exit code."""
    folder = Path(tempfile.mkdtemp(prefix="hypereal-bench-"))
    postgres = EmbeddedPostgres(folder)
    try:
        url = await postgres.start()
        await asyncio.to_thread(migrate.up, url)
        return 0 if await measure(url) else 1
    finally:
        await postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    log.configure(process="bench", level="warning")
    sys.exit(asyncio.run(main()))
