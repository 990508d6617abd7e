"""Media jobs in a test: the conductor of this process with an engine, or workers of their own that can be killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.support.jobs import working
from tests.support.ledger import Caller as Payer
from tests.support.ledger import make_account

from hypereal.catalog import Kind
from hypereal.gateway.media import ordering
from hypereal.gateway.media.asking import read_wish
from hypereal.gateway.media.conductor import Conductor
from hypereal.gateway.media.job import MediaJob, Origin
from hypereal.jobs import engine
from hypereal.kit import log
from hypereal.kit.access import Caller
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, KeyId, new_request_id
from hypereal.kit.money import Micro
from hypereal.kit.settings import OutboundSection, Server, Settings
from hypereal.serve.parts import Parts, open_parts
from hypereal.webhooks import worker as webhooks

SECRET = "0123456789abcdef" * 2
WAIT_S_MAX = 60.0
HINT_S = 0.02


def settings(folder: Path, public_url: str | None = None) -> Settings:
    """Of a server on FOLDER whose vendors are on loopback."""
    return Settings(
        server=Server(data_dir=folder, public_url=public_url), outbound=OutboundSection(allow=("127.0.0.0/8",))
    )


class Studio:
    """A conductor, and whoever asks it for something."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.conductor: Conductor = parts.media

    async def caller(self, credits: float = 1000, limit: Micro | None = None) -> Caller:
        owner_id = await make_account(self.parts.database, credits)
        return caller_of(owner_id, limit)

    async def begin(self, caller: Caller, kind: Kind = Kind.IMAGE, *, key: str | None = None, **body: Any) -> MediaJob:
        """The job that a request with BODY comes to, through the same checks."""
        wish = read_wish(msgspec.json.encode({"prompt": "a red fox", **body}))
        ways = self.conductor.studio.ways
        found = ordering.find(ways, kind, caller, wish)
        await ordering.check_materials(ways.materials, wish)
        origin = Origin(request_id=new_request_id(), endpoint=f"{kind.value}s/generate")
        return await self.conductor.begin(caller, ordering.asked_of(found, wish, origin, key))

    async def ended(self, job: MediaJob, within_s: float = WAIT_S_MAX) -> MediaJob:
        """The job once it has ended: as soon as its vendor allows, since it is asked all the time."""
        async with asyncio.timeout(within_s):
            while not (found := await self.conductor.find(job.owner_id, job.id)).is_final:
                await self.hasten(job)
                await asyncio.sleep(HINT_S)
        return found

    async def hasten(self, job: MediaJob) -> None:
        """As a vendor's callback does."""
        found = await self.conductor.find(job.owner_id, job.id)
        async with self.parts.database.connection() as connection:
            await connection.execute(
                "UPDATE jobs SET due_at = clock_timestamp() WHERE id = $1 AND state = 'queued'", found.queue_id
            )

    async def until(self, job: MediaJob, *waiting: str) -> MediaJob:
        """The job once it waits for one of WAITING."""
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                found = await self.conductor.find(job.owner_id, job.id)
                if any((found.waiting or "").startswith(one) for one in waiting):
                    return found
                assert not found.is_final, found
                await self.hasten(job)
                await asyncio.sleep(HINT_S)


def caller_of(owner_id: AccountId, limit: Micro | None = None) -> Caller:
    payer = Payer(owner_id=owner_id)
    return Caller(owner_id=owner_id, key_id=KeyId(payer.key_id), permissions=frozenset(), spending_limit=limit)


@asynccontextmanager
async def studio(
    database: Database, folder: Path, *, works: bool = True, public_url: str | None = None
) -> AsyncIterator[Studio]:
    """A studio whose steps are done here, unless it WORKS not."""
    read = settings(folder, public_url)
    parts = open_parts(Database(database.url, connections_max=20), read, SECRET)
    await parts.database.open()
    handlers = (*parts.media.handlers(), *webhooks.handlers(parts.webhooks))
    try:
        async with working(parts.database, *(handlers if works else ()), settings=read, drain_s=0.5):
            yield Studio(parts)
    finally:
        await parts.close()


async def worker_process(url: str, folder: Path, environ: Iterable[tuple[str, str]]) -> asyncio.subprocess.Process:
    """A process that does steps until it is killed; its claims run out after a second."""
    path = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.media", url, str(folder), env={**os.environ, **path, **dict(environ)}
    )


async def _work(url: str, folder: Path) -> None:
    database = Database(url)
    await database.open()
    async with studio(database, folder):
        await asyncio.Event().wait()


if __name__ == "__main__":
    log.configure(process="test", level="error")
    engine.CLAIM_S, engine.RENEW_S = 1.0, 0.25
    asyncio.run(_work(sys.argv[1], Path(sys.argv[2])))
