"""Connections to one upstream: kept alive, used again, last in first out."""

import asyncio
import ssl
from typing import Final

from hypereal.net.address import Address
from hypereal.net.roles import UpstreamLost
from hypereal.net.tls import TlsClient
from hypereal.net.upstream import Upstream

CONNECT_S_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 4096
IDLE_MAX: Final = 512
IDLE_S_MAX: Final = 55
"""Below the 60 s after which common servers close an idle connection."""


class Pool:
    """The connections of a process to one address."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._tls = tls
        self._idle: list[tuple[Upstream, int]] = []
        self._sweeps = 0
        self._connecting = 0
        self._open: set[Upstream] = set()

    def take(self) -> Upstream | None:
        """An idle connection, or None: `connect` then."""
        while self._idle:
            upstream, _ = self._idle.pop()
            if not upstream.is_closed and not upstream.transport.is_closing():
                return upstream
        return None

    async def connect(self, within_s: float = CONNECT_S_MAX) -> Upstream:
        """A new connection, its TLS handshake done. Raises UpstreamLost where it is refused, or takes too long.

        Too long is WITHIN_S, but no more than CONNECT_S_MAX.
        """
        if len(self._open) + self._connecting >= CONNECTIONS_MAX:
            raise UpstreamLost(f"over {CONNECTIONS_MAX} connections to {self.address}")
        self._connecting += 1
        within_s = min(within_s, CONNECT_S_MAX)
        try:
            async with asyncio.timeout(within_s):
                return await self._connect()
        except TimeoutError:
            raise UpstreamLost(f"no connection to {self.address} within {within_s:.0f} s") from None
        except ssl.SSLError as error:
            raise UpstreamLost(f"TLS with {self.address}: {error.reason or error}") from None
        except OSError as error:
            raise UpstreamLost(f"no connection to {self.address}: {error.strerror or error}") from None
        finally:
            self._connecting -= 1

    async def _connect(self) -> Upstream:
        loop = asyncio.get_running_loop()
        upstream = Upstream(self)
        address = self.address
        if address.path:
            await loop.create_unix_connection(lambda: upstream, address.path)
        elif self._tls is not None:
            context = self._tls
            _, tls = await loop.create_connection(
                lambda: TlsClient(upstream, context, address.host, loop), address.host, address.port
            )
            await tls.opened()
        else:
            await loop.create_connection(lambda: upstream, address.host, address.port)
        if upstream.is_closed:
            raise UpstreamLost(f"{self.address} closed the connection at once")
        self._open.add(upstream)
        return upstream

    def put(self, upstream: Upstream) -> None:
        """A call has finished with UPSTREAM."""
        if len(self._idle) >= IDLE_MAX:
            upstream.transport.close()
        else:
            self._idle.append((upstream, self._sweeps))

    def closed(self, upstream: Upstream) -> None:
        """UPSTREAM is no more."""
        self._open.discard(upstream)
        self._idle = [entry for entry in self._idle if entry[0] is not upstream]

    def sweep(self) -> None:
        """Once a second: close what has been idle too long."""
        self._sweeps += 1
        while self._idle and self._sweeps - self._idle[0][1] > IDLE_S_MAX:
            self._idle.pop(0)[0].transport.close()

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop()[0].transport.close()
