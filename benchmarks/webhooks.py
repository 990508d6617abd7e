"""Webhooks: the time from the commit of what emitted to the receiver's having the event, and deliveries a second.

`python benchmarks/webhooks.py` from the root of the tree, on an embedded PostgreSQL of its own.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from hypereal import jobs
from hypereal.accounts import create_user
from hypereal.kit import log
from hypereal.kit.db import Database, Feed
from hypereal.kit.outbound import Outbound, read_allowed
from hypereal.kit.settings import Settings
from hypereal.serve import migrate
from hypereal.serve.postgres import EmbeddedPostgres
from hypereal.webhooks import Event, Webhooks
from hypereal.webhooks.endpoints import Change
from hypereal.webhooks.worker import handlers

ONE_BY_ONE = 200
OWNERS = 20
AT_ONCE = 2_000
GATE_MS = 50.0
EVENT = Event(type="job.completed", data=msgspec.Raw(b'{"jobId":"job_1","status":"completed"}'))


class Receiver:
    """Counts what comes."""

    def __init__(self) -> None:
        self.count = 0
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            self.count += 1
            self.came.set()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def until(self, count: int) -> None:
        while self.count < count:
            self.came.clear()
            await self.came.wait()


async def run(url: str) -> int:
    """The exit code."""
    database, feed, receiver = Database(url), Feed(url), Receiver()
    await database.open()
    outbound = Outbound(read_allowed(["127.0.0.1"]))
    webhooks = Webhooks(database, outbound, "0" * 32)
    context = jobs.Context(database=database, settings=Settings())
    engine = jobs.Engine(context, feed, handlers(webhooks))
    server = await asyncio.start_server(_forgiving(receiver), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    owners = [(await create_user(database, f"u{number}@example.com")).account_id for number in range(OWNERS)]
    for owner_id in owners:
        await webhooks.endpoints.create(owner_id, Change(url=address))
    feed.start()
    await feed.connected.wait()
    engine.start()
    took_ms = []
    for number in range(1, ONE_BY_ONE + 1):
        async with database.transaction() as connection:
            await webhooks.emit(connection, owners[0], EVENT)
        began_s = time.perf_counter()
        await jobs.announce(database)
        await receiver.until(number)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        await asyncio.sleep(0.005)
    p50, p99 = statistics.median(took_ms), statistics.quantiles(took_ms, n=100)[98]
    print(f"one by one: p50 {p50:.1f} ms (gate {GATE_MS:.0f}), p99 {p99:.1f} ms")
    began_s, wanted = time.perf_counter(), receiver.count + AT_ONCE
    for number in range(AT_ONCE):
        async with database.transaction() as connection:
            await webhooks.emit(connection, owners[number % OWNERS], EVENT)
    await jobs.announce(database)
    await receiver.until(wanted)
    took_s = time.perf_counter() - began_s
    print(f"{AT_ONCE} events of {OWNERS} owners, emitted and delivered in {took_s:.1f} s: {AT_ONCE / took_s:.0f}/s")
    await engine.stop(5)
    await feed.stop()
    await outbound.close()
    server.close()
    await database.close()
    return 0 if p50 <= GATE_MS else 1


def _forgiving(receiver: Receiver):  # type: ignore[no-untyped-def]
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await receiver.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    return serve


def main() -> int:
    """The exit code."""
    folder = Path(tempfile.mkdtemp(prefix="hypereal-webhooks-"))
    postgres = EmbeddedPostgres(folder)
    try:
        with asyncio.Runner() as runner:
            url = runner.run(postgres.start())
            migrate.up(url)
            code = runner.run(run(url))
            runner.run(postgres.stop())
        return code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    log.configure(process="bench", level="error")
    sys.exit(main())
