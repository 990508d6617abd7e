"""How a command gets at the database, whether or not the server runs."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypereal.kit.settings import Settings
from hypereal.serve import folders, locks
from hypereal.serve.faults import CannotServe
from hypereal.serve.postgres.cluster import EmbeddedPostgres
from hypereal.serve.postgres.external import check_external

WAIT_S_MAX = 20.0
POLL_S = 0.1


@asynccontextmanager
async def reach_database(settings: Settings, purpose: str) -> AsyncIterator[str]:
    """The URL of the database, for as long as the block runs. PURPOSE names the command to whoever has to wait.

    The operator's own server, else the running embedded one, else one started for the block. Raises CannotServe.
    """
    if settings.database.url:
        await check_external(settings.database.url)
        yield settings.database.url
        return
    data_dir = settings.server.data_dir
    folders.prepare(data_dir)
    postgres = EmbeddedPostgres(data_dir)
    lock = await _attach_or_lock(data_dir, postgres)
    if lock is None:
        yield postgres.url
        return
    async with _started(postgres, lock, purpose) as url:
        yield url


@asynccontextmanager
async def reach_database_alone(settings: Settings, purpose: str) -> AsyncIterator[str]:
    """As `reach_database`, while nothing else uses the data folder. Raises CannotServe where something does."""
    data_dir = settings.server.data_dir
    folders.prepare(data_dir)
    lock = locks.take(data_dir / "serve.lock")
    if lock is None:
        holder = locks.holder_of(data_dir / "serve.lock")
        who = f"process {holder.pid} (hypereal {holder.purpose})" if holder else "another hypereal"
        raise CannotServe(f"{who} uses the data folder {data_dir}. Stop it first.")
    if not settings.database.url:
        async with _started(EmbeddedPostgres(data_dir), lock, purpose) as url:
            yield url
        return
    try:
        locks.sign(lock, locks.Holder(pid=os.getpid(), purpose=purpose))
        await check_external(settings.database.url)
        yield settings.database.url
    finally:
        os.close(lock)


@asynccontextmanager
async def _started(postgres: EmbeddedPostgres, lock: int, purpose: str) -> AsyncIterator[str]:
    """POSTGRES's URL while it runs under LOCK, which is given back at the end."""
    try:
        locks.sign(lock, locks.Holder(pid=os.getpid(), purpose=purpose))
        yield await postgres.start()
    finally:
        await postgres.stop()
        os.close(lock)


async def _attach_or_lock(data_dir: Path, postgres: EmbeddedPostgres) -> int | None:
    """None once POSTGRES is attached to a running server's; else the lock of the folder. Raises CannotServe."""
    path = data_dir / "serve.lock"
    deadline = time.monotonic() + WAIT_S_MAX
    while (lock := locks.take(path)) is None:
        holder = locks.holder_of(path)
        refusal = CannotServe(f"The data folder {data_dir} is in use by {holder}. Try again when that has ended.")
        if holder is not None and holder.purpose == "serve":
            try:
                await postgres.attach()
                return None
            except CannotServe as error:  # it is still starting
                refusal = error
        if time.monotonic() > deadline:
            raise refusal
        await asyncio.sleep(POLL_S)
    return lock
