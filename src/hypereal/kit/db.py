"""PostgreSQL: one pool per process, and one LISTEN connection (`Feed`) that tells caches what changed."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from hypereal.kit import log

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = object

# Of each lost connection it tells with a traceback, several times a second; whoever needed one says so here.
logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)

CONNECT_S_MAX = 10.0
COMMAND_S_MAX = 30.0
ANSWER_S_MAX = 3.0
"""How long a caller waits for what is otherwise answered from memory."""
RECONNECT_S_MAX = 5.0
PROBE_S = 20.0

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection that is lost while it is being prepared
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""What a database that is down or going down raises: retry or answer 503, never 401 or 402."""


T = TypeVar("T")


async def in_time(work: Awaitable[T]) -> T:
    """What WORK gives. Raises TimeoutError, one of UNREACHABLE, after 3 s; WORK goes on until its own timeouts end it.

    It is not cancelled, since that takes as long: where packets are dropped, not even the word to cancel arrives.
    """
    return await asyncio.wait_for(asyncio.shield(work), ANSWER_S_MAX)


class Database:
    """A pool of connections. Queries live in each capability's `store.py`; this only opens and hands out."""

    def __init__(self, url: str, *, connections_max: int = 8) -> None:
        self.url = url
        self._connections_max = connections_max
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Connect. Raises one of UNREACHABLE where there is no server."""
        self._pool = await asyncpg.create_pool(
            self.url, min_size=1, max_size=self._connections_max, timeout=CONNECT_S_MAX, command_timeout=COMMAND_S_MAX
        )

    async def close(self) -> None:
        """Give every connection back; at most 5 s, then cut them."""
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), 5)
            except TimeoutError:
                self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside any transaction."""
        assert self._pool is not None, "open() comes first"
        async with self._pool.acquire(timeout=CONNECT_S_MAX) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction. Keep it short; never await the network in it."""
        async with self.connection() as connection, connection.transaction():
            yield connection


class Feed:
    """One LISTEN connection of a process. A capability's cache subscribes with `on`.

    A callback gets the payload of each notice, and None after every (re)connect: then anything may have changed.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._callbacks: dict[str, list[Callable[[str | None], None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    def on(self, channel: str, callback: Callable[[str | None], None]) -> None:
        """Call CALLBACK for every notice on CHANNEL. Subscribe before `start`."""
        self._callbacks.setdefault(channel, []).append(callback)

    def start(self) -> None:
        """Connect and stay connected, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        wait_s = 0.1
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=CONNECT_S_MAX)
            except UNREACHABLE:
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(wait_s * 2, RECONNECT_S_MAX)
                continue
            wait_s = 0.1
            try:
                await self._listen(connection)
            except UNREACHABLE as error:
                log.get("db").warning("notices interrupted", error=str(error))
            finally:
                self.connected.clear()
                connection.terminate()

    async def _listen(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        for channel in self._callbacks:
            await connection.add_listener(channel, self._notice)
        for channel in self._callbacks:
            self._tell(channel, None)
        self.connected.set()
        while not lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), PROBE_S)
            await connection.execute("SELECT 1")

    def _notice(self, _: object, __: int, channel: str, payload: object) -> None:
        self._tell(channel, str(payload))

    def _tell(self, channel: str, payload: str | None) -> None:
        for callback in self._callbacks[channel]:
            callback(payload)
