"""A real server under load whose data processes and PostgreSQL are killed at random moments, then the audit.

`HYPEREAL_TEST_SEED` chooses other moments than the usual ones.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.raw import Answer, Raw, request
from tests.support.server import Caller, Server
from tests.support.upstream import Recorded, Script, Upstream

from hypereal.kit.db import UNREACHABLE
from hypereal.serve.postgres import postmaster

SEED = int(os.environ.get("HYPEREAL_TEST_SEED", "7"))
CHAT = "/v1/chat/completions"
CALLERS = 12
LOAD_S = 14.0
PAUSE_S = 0.03
KILLS = ["data-0", "data-1", "postgres", "data-0", "data-1", "postgres", "data-0"]
"""In some order. Of each no more than four: the fifth crash in five minutes stops everything."""
MICRO = 1_000_000


def answer(recorded: Recorded) -> Script:
    usage = {"prompt_tokens": 100, "completion_tokens": 1000, "total_tokens": 1100}
    if recorded.wants_stream:
        return scripts.stream(vendors.chat_events(usage=usage))
    return scripts.plain(vendors.chat_answer(usage=usage))


class Load:
    """Callers who call again and again, whatever comes back."""

    def __init__(self, url: str, caller: Caller) -> None:
        self._url = urlsplit(url)
        self._caller = caller
        self.whole: dict[str, int | None] = {}
        """Request id -> micro-credits that the answer named, of every answer that was 200 and ended whole."""
        self.statuses: Counter[int] = Counter()
        self.is_over = False

    async def run(self, seed: random.Random) -> None:
        while not self.is_over:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(20):
                    await self._connection(seed)
            await asyncio.sleep(PAUSE_S)

    async def _connection(self, seed: random.Random) -> None:
        reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        try:
            for _ in range(seed.randint(1, 5)):
                is_stream = seed.random() < 0.4
                body = {"model": "one-target", "messages": [], "max_tokens": 1000, "stream": is_stream}
                writer.write(request("POST", CHAT, body, self._caller.secret))
                await self._read(reader)
                await asyncio.sleep(PAUSE_S)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        if "content-length" in fields:
            await reader.readexactly(int(fields["content-length"]))
        else:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        status = int(lines[0].split(" ")[1])
        self.statuses[status] += 1
        if status == 200:
            cost = fields.get("x-hypereal-cost-credits")
            self.whole[fields["x-request-id"]] = None if cost is None else round(float(cost) * MICRO)


async def kill(server: Server, seed: random.Random, load: Load) -> list[str]:
    """Kill in some order at some moments; what was killed."""
    victims, killed = KILLS[:], []
    seed.shuffle(victims)
    for victim in victims:
        await asyncio.sleep(LOAD_S / len(KILLS) * seed.uniform(0.6, 1.2))
        found = postmaster.read(server.data_dir / "postgres") if victim == "postgres" else None
        pid = found.pid if found is not None else server.pids.get(victim)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(f"{victim} after {len(load.whole)} answers")
    return killed


async def strain(server: Server, caller: Caller) -> tuple[Load, list[str]]:
    load, seed = Load(server.url, caller), random.Random(SEED)
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(load.run(random.Random(SEED * 1000 + number)))
        killed = await kill(server, seed, load)
        await asyncio.sleep(1.0)
        load.is_over = True
    return load, killed


@pytest.fixture(scope="module")
def struck(background: Background) -> Server:
    """A server of two data processes; its upstream charges one credit a call."""
    upstream = Upstream(background)
    upstream.answer_all(answer)
    running = Server(background, servers.upstream_environ(upstream), servers.config(upstream), workers=2)
    yield running
    servers.assert_ended_well(running)
    upstream.close()


def rows_of(server: Server, caller: Caller) -> list[asyncpg.Record]:
    """The log of CALLER; empty while the database is not back."""
    with suppress(*UNREACHABLE):
        return server.query("SELECT request_id, cost, charged FROM usage WHERE owner_id = $1", caller.owner_id)
    return []


@pytest.mark.timeout(120)
def test_every_answer_that_ended_whole_is_in_the_log_once_whoever_was_killed(struck: Server) -> None:
    caller = struck.caller(1_000_000)
    began_s = time.monotonic()
    load, killed = asyncio.run(strain(struck, caller))
    story = f"seed {SEED}: {killed}, {dict(load.statuses)} in {time.monotonic() - began_s:.0f} s"
    struck.wait_for(lambda: load.whole.keys() <= {row["request_id"] for row in rows_of(struck, caller)}, story)
    struck.wait_for(lambda: no_lives_but(struck, 2), "the dead are closed")
    rows = rows_of(struck, caller)
    counted = Counter(row["request_id"] for row in rows)
    assert max(counted.values()) == 1, story
    assert len(load.whole) > 300, story
    assert set(load.statuses) <= {200, 503}, story
    for row in rows:
        told = load.whole.get(row["request_id"])
        assert row["charged"] == row["cost"] and told in (None, row["charged"]), story
    assert struck.is_idle(caller)
    assert struck.balance(caller).ledger == 1_000_000 * MICRO - sum(row["charged"] for row in rows), story
    command = [sys.executable, "-m", "hypereal", "audit", "--json", "--data-dir", str(struck.data_dir)]
    audit = subprocess.run(command, capture_output=True, text=True, env=struck._environ, timeout=60, check=True)
    assert json.loads(audit.stdout) == {"ok": True, "differences": []}, story


def test_outage_is_served_from_what_is_leased_and_else_told_as_ours(struck: Server) -> None:
    known, new = struck.caller(100_000), struck.caller(100_000)
    body = {"model": "one-target", "messages": [], "max_tokens": 1000}
    with Raw(struck.url) as connection:

        def call(key: str) -> Answer:
            connection.post(CHAT, body, key)
            return connection.answer()

        assert [call(known.secret).status for _ in range(20)] == [200] * 20
        found = postmaster.read(struck.data_dir / "postgres")
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        struck.wait_for(lambda: not reaches_database(struck), "the outage")
        served = [call(known.secret) for _ in range(3)]
        refused = [call(new.secret), call("ck_" + "0" * 64)]
    assert [answer.status for answer in served] == [200] * 3
    assert [answer.status for answer in refused] == [503] * 2
    assert all(int(answer.get("retry-after") or 0) >= 1 for answer in refused)
    struck.wait_for(lambda: reaches_database(struck), "the database")
    struck.wait_for(lambda: len(rows_of(struck, known)) == 23, "what was settled meanwhile")
    assert struck.wait_for(lambda: call_of(struck, new, body).status == 200, "the new key")


def call_of(server: Server, caller: Caller, body: object) -> Answer:
    return server.call(CHAT, body, caller.secret)


def reaches_database(server: Server) -> bool:
    with suppress(*UNREACHABLE):
        server.query("SELECT 1")
        return True
    return False


def no_lives_but(server: Server, count: int) -> bool:
    return server.query("SELECT count(*) FROM processes WHERE state = 'live'")[0][0] == count
