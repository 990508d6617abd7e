"""Connections that go to checked addresses only: a name is resolved once, and what was checked is what is connected to.

TLS and `Host` above it go on with the name.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore2

from hypereal.kit.errors import UnusableUrl
from hypereal.kit.outbound.addresses import Allowed, is_public, literal

RESOLVE_S_MAX = 5.0
CONNECT_S_MAX = 5.0
"""To one address."""
ADDRESSES_TRIED_MAX = 4

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses. Raises OSError where there are none."""


async def system_resolve(host: str, port: int) -> list[str]:
    """As the machine resolves names."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """What httpx2's pool connects through."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def addresses(self, host: str, port: int) -> list[str]:
        """Those of HOST, if all may be connected to. Raises UnusableUrl, whose message takes no notice of why.

        One wrong address is enough to refuse: which one of several is used would else be the answerer's choice. A name
        that does not exist is told like one that is private, so that nobody learns which names exist in here.
        """
        given = literal(host)
        if given is not None:
            found: Sequence[str] = [given.compressed]
        else:
            try:
                async with asyncio.timeout(RESOLVE_S_MAX):
                    found = await self._resolve(host, port)
            except (OSError, UnicodeError):
                found = []
        if not found or not (host in self._allowed.hosts or all(self._may_be_asked(address) for address in found)):
            raise UnusableUrl("its host has no public address.")
        return list(found)

    def _may_be_asked(self, text: str) -> bool:
        address = literal(text)
        return address is not None and (is_public(address) or self._allowed.holds(address))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of HOST that answers."""
        failure: Exception = httpcore2.ConnectError("no address")
        for address in (await self.addresses(host, port))[:ADDRESSES_TRIED_MAX]:
            try:
                return await self._network.connect_tcp(address, port, CONNECT_S_MAX, None, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure
