"""Real loopback peers for the HTTP plane: an upstream that a test scripts, and a call on a connection to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from hypereal.net import Upstream

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Asked:
    """A call that waits for its upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.failure: Exception | None = None
        self._is_over = asyncio.Event()

    def wake(self) -> None:
        if self.upstream.is_done:
            self._is_over.set()

    def fail(self, why: Exception) -> None:
        self.failure = why
        self._is_over.set()

    async def over(self) -> None:
        """The answer is whole, or will never be."""
        async with asyncio.timeout(20):
            await self._is_over.wait()


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until IS_SO; what it tells has no event of its own."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0)


def _forgiving(peer: Peer) -> Peer:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await peer(reader, writer)
        writer.close()

    return run


@asynccontextmanager
async def serve(peer: Peer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """PEER listens on a loopback port."""
    server = await asyncio.start_server(_forgiving(peer), "127.0.0.1", 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


@asynccontextmanager
async def serve_unix(peer: Peer, path: str) -> AsyncIterator[None]:
    """PEER listens on the unix socket PATH."""
    server = await asyncio.start_unix_server(_forgiving(peer), path)
    try:
        yield
    finally:
        server.close()
