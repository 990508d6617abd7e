"""One start of the server, as the supervisor tells of it: the database is brought up to date, the operator greeted."""

import asyncio
import time
from collections.abc import Callable

import asyncpg

from hypereal import ledger
from hypereal.cli import database, offer, welcome
from hypereal.cli.first_start import first_key
from hypereal.kit import log
from hypereal.kit.db import UNREACHABLE
from hypereal.kit.errors import HyperealError
from hypereal.kit.settings import Settings

Tell = Callable[[str], None]


class Start:
    """What `supervisor.Wiring` asks for. TELL shows what is being done, until DONE."""

    def __init__(self, settings: Settings, offered: offer.Offer, tell: Tell, done: Callable[[], None]) -> None:
        self._settings = settings
        self._offered = offered
        self._tell = tell
        self._done = done
        self._began_s = time.monotonic()
        self._url = ""
        self._greeting: asyncio.Task[None] | None = None

    async def migrate(self, url: str) -> None:
        """The database at URL answers: bring it up to this version. Raises CannotServe."""
        self._tell("Preparing the tables")
        self._url = url
        await database.bring_up_to_date(url)

    async def close_dead(self, url: str, instance_id: str, alive: frozenset[int]) -> None:
        """Settle what data processes left that run no more, and give back what they held."""
        self._tell("Starting the processes")
        async with database.connected(url) as opened:
            await ledger.close_dead(opened, instance_id, alive, self._settings.spool_dir)

    def on_ready(self, address: str) -> None:
        """All processes serve at ADDRESS: say so. The first key is made now, when it can be used."""
        self._done()
        facts = welcome.Facts(
            address=address,
            data_dir=self._settings.server.data_dir,
            providers=tuple(provider.name for provider in self._offered.real),
            has_local_model=offer.has_local_model(),
            took_s=time.monotonic() - self._began_s,
        )
        self._greeting = asyncio.get_running_loop().create_task(self._greet(facts))

    async def _greet(self, facts: welcome.Facts) -> None:
        key = None
        try:
            async with database.connected(self._url) as opened:
                key = await first_key(opened, facts.data_dir)
        except (HyperealError, asyncpg.PostgresError, *UNREACHABLE) as error:
            log.get("serve").error("no first key: the next start makes one", error=str(error))
        if key is None:
            welcome.later(facts)
        else:
            welcome.first(facts, key.secret)
            key.shown()
