"""Requests to vendors of media, sent: over HTTP/1.1, bounded in bytes and time, without redirects or proxies."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx2
import msgspec

from hypereal.providers.drivers import Answer, Signed

ANSWER_BYTES_MAX = 192 * 1024 * 1024
"""Ten pictures of 4096 x 4096 in base64 are some 150 MB."""
CONNECT_S_MAX = 10.0
CONNECTIONS_MAX = 400
IDLE_S_MAX = 30.0

Hears = Callable[[Answer], Callable[[bytes], None] | None]

NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class NotSent(Exception):
    """The request surely reached nobody."""


class NotAnswered(Exception):
    """The request may have been done: no answer came, or not all of it."""


class Sender:
    """One for a process."""

    def __init__(self) -> None:
        # A connection that has rested may be dead, and then nobody could tell whether a submit arrived.
        self._fresh = _client(rests=0)
        self._kept = _client(rests=CONNECTIONS_MAX)

    async def close(self) -> None:
        """End all connections."""
        await self._fresh.aclose()
        await self._kept.aclose()

    async def send(
        self, signed: Signed, timeout_s: float, *, begins: bool = False, hears: Hears | None = None
    ) -> Answer:
        """The answer, whatever it says. BEGINS: it must not be done twice. Raises NotSent, NotAnswered.

        HEARS is told of the answer's head, and may want the pieces of its body as they come.
        """
        async with self.open(signed, timeout_s, begins=begins) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            head = Answer(status=answer.status_code, headers=headers, body=b"", url=signed.url)
            put = None if hears is None else hears(head)
            body = bytearray()
            async for piece in pieces_of(answer):
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise NotAnswered(f"over {ANSWER_BYTES_MAX} bytes")
                if put is not None:
                    put(piece)
            return msgspec.structs.replace(head, body=bytes(body))

    @asynccontextmanager
    async def open(self, signed: Signed, timeout_s: float, *, begins: bool = False) -> AsyncIterator[httpx2.Response]:
        """The answer as it comes. Raises NotSent, NotAnswered."""
        client = self._fresh if begins else self._kept
        request = client.build_request(
            signed.method,
            signed.url,
            headers={**signed.headers, "accept-encoding": "identity"},
            content=signed.body or None,
            timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S_MAX, pool=CONNECT_S_MAX),
        )
        with _failures():
            answer = await client.send(request, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()


async def pieces_of(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """The body of ANSWER as it comes. Raises NotAnswered."""
    with _failures():
        async for piece in answer.aiter_raw():
            yield piece


@contextmanager
def _failures() -> Iterator[None]:
    """What the network raises, in our words."""
    try:
        yield
    except NOT_SENT as error:
        raise NotSent(type(error).__name__) from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise NotAnswered(type(error).__name__) from None


def _client(rests: int) -> httpx2.AsyncClient:
    limits = httpx2.Limits(
        max_connections=CONNECTIONS_MAX, max_keepalive_connections=rests, keepalive_expiry=IDLE_S_MAX
    )
    return httpx2.AsyncClient(limits=limits, trust_env=False, follow_redirects=False, http2=False)
