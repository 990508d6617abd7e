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
    deadline = time.monotonic() + WAIT_S_MAX
    while (lock := locks.take(data_dir / "serve.lock")) is None:
        url = await _attached(postgres, data_dir, is_last_try=time.monotonic() > deadline)
        if url is not None:
            yield url
            return
        await asyncio.sleep(POLL_S)
    try:
        locks.sign(lock, locks.Holder(pid=os.getpid(), purpose=purpose))
        yield await postgres.start()
    finally:
        await postgres.stop()
        os.close(lock)


async def _attached(postgres: EmbeddedPostgres, data_dir: Path, *, is_last_try: bool) -> str | None:
    """The URL, where a server has the data folder and its database answers by now."""
    holder = locks.holder_of(data_dir / "serve.lock")
    if holder is not None and holder.purpose == "serve":
        try:
            return await postgres.attach()
        except CannotServe:
            if is_last_try:
                raise
    if is_last_try:
        who = f"process {holder.pid} (hypereal {holder.purpose})" if holder else "another hypereal"
        raise CannotServe(f"The data folder {data_dir} is in use by {who}. Try again when that has ended.")
    return None
