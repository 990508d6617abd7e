"""Fetching from and posting to URLs that callers gave: bounded in every way, and never to an address inside.

It stands on the connection pool below httpx2's client (httpcore2), since what a client does by itself is what must not
happen here: proxies of the environment, cookies, redirects, unpacking.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import httpcore2
import msgspec

import hypereal
from hypereal.kit import media_types
from hypereal.kit.errors import UnusableUrl
from hypereal.kit.outbound.addresses import Allowed
from hypereal.kit.outbound.bodies import Pace, Unpacker
from hypereal.kit.outbound.network import CheckedNetwork, Resolve, system_resolve
from hypereal.kit.outbound.urls import Target, read_redirect, read_url

CONNECTIONS_MAX = 200
IDLE_CONNECTIONS_MAX = 20
IDLE_S_MAX = 15.0
SILENCE_S_MAX = 30.0
"""Between two reads, or writes."""
REDIRECTS_MAX = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ANSWER_BYTES_MAX = 64 * 1024
"""Of the answer to a post; nobody looks at it, but a connection whose answer was read can be used again."""

Fields = list[tuple[bytes, bytes]]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch may bring."""

    bytes_max: int
    """Unpacked."""
    types: tuple[str, ...] = ()
    """Beginnings of content types that bytes can tell ('image/', 'audio/'); empty for any."""
    total_s: float = 60.0
    https_only: bool = False


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What was there."""

    body: bytes
    content_type: str


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """How a post was answered."""

    status: int
    retry_after_s: float | None


class Incoming:
    """A body on its way. Iterate over it once: pieces of 64 KiB at most. Raises UnusableUrl where it breaks a bound."""

    def __init__(self, answer: httpcore2.Response, wanted: Wanted, offset: int) -> None:
        """Raises UnusableUrl where the answer is not what was asked for."""
        self._answer = answer
        self._wanted = wanted
        encoding = _field(answer, b"content-encoding").lower()
        self._unpacker = Unpacker(encoding)
        self._head = b""
        self._pieces = self._read()
        self.content_type = media_types.UNKNOWN
        """Known once `begin` is through."""
        self.offset = 0 if answer.status == 200 else offset
        """Of the first byte, in the whole."""
        if answer.status == 206 and not _field(answer, b"content-range").startswith(f"bytes {offset}-"):
            raise UnusableUrl("it answers with another part than was asked for.")
        self.etag = _field(answer, b"etag")
        length = "" if encoding else _field(answer, b"content-length")
        self.size_bytes = self.offset + int(length) if _is_length(length) else None
        """Of the whole, where it is told."""

    async def begin(self) -> None:
        """Take the first bytes and see what they are. Raises UnusableUrl where they are not what is wanted."""
        if self.size_bytes is not None and self.size_bytes > self._wanted.bytes_max:
            raise _too_large(self._wanted)
        if self.offset:
            return
        while len(self._head) < media_types.SNIFFED_BYTES:
            piece = await anext(self._pieces, None)
            if piece is None:
                break
            self._head += piece
        self.content_type = media_types.settle(_field(self._answer, b"content-type"), self._head)
        types = self._wanted.types
        if types and not (media_types.sniff(self._head) and self.content_type.startswith(types)):
            raise UnusableUrl(f"it is {self.content_type}, not {' or '.join(types).replace('/', '')}.")

    async def close(self) -> None:
        """Nothing more is read."""
        await self._pieces.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._head:
            yield self._head
        async for piece in self._pieces:
            yield piece

    async def _read(self) -> AsyncGenerator[bytes, None]:
        packed_bytes, size_bytes, pace = 0, self.offset, Pace()
        with _failures():
            async for packed in self._answer.aiter_stream():
                pace.came(len(packed))
                packed_bytes += len(packed)
                if packed_bytes > self._wanted.bytes_max:
                    raise _too_large(self._wanted)
                for piece in self._unpacker.unpack(packed):
                    size_bytes += len(piece)
                    if size_bytes > self._wanted.bytes_max:
                        raise _too_large(self._wanted)
                    yield piece
        self._unpacker.end()


class Outbound:
    """One for a process. ALLOWED is a setting, RESOLVE makes addresses of names, TLS says who is believed."""

    def __init__(
        self,
        allowed: Allowed | None = None,
        *,
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed or Allowed()
        self._network = CheckedNetwork(self._allowed, resolve)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpcore2.default_ssl_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=IDLE_CONNECTIONS_MAX,
            keepalive_expiry=IDLE_S_MAX,
            network_backend=self._network,
        )

    async def close(self) -> None:
        """End all connections."""
        await self._pool.aclose()

    async def check(self, url: str, field: str, *, https_only: bool = False) -> None:
        """See that URL could be asked now, without asking. Raises UnusableUrl that names FIELD."""
        with _named(field):
            target = read_url(url, self._allowed, https_only=https_only)
            await self._network.addresses(target.host, target.port)

    async def fetch(self, url: str, field: str, wanted: Wanted) -> Fetched:
        """What is at URL, which the caller gave as FIELD. Raises UnusableUrl that names FIELD."""
        async with self.open(url, field, wanted) as incoming:
            body = b"".join([piece async for piece in incoming])
        return Fetched(body=body, content_type=incoming.content_type)

    @asynccontextmanager
    async def open(
        self, url: str, field: str, wanted: Wanted, *, offset: int = 0, etag: str = ""
    ) -> AsyncIterator[Incoming]:
        """What is at URL, as it comes. Raises UnusableUrl that names FIELD, also while it is read.

        OFFSET asks for the rest from there, of what had ETAG; whether that is what comes, its `offset` says.
        """
        with _named(field):
            async with _within(wanted.total_s), self._get(url, wanted, offset, etag) as answer:
                incoming = Incoming(answer, wanted, offset)
                try:
                    await incoming.begin()
                    yield incoming
                finally:
                    await incoming.close()

    async def post(self, url: str, field: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Posted:
        """Post BODY to URL; redirects are not followed. Raises UnusableUrl that names FIELD."""
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        fields.append((b"content-length", b"%d" % len(body)))
        with _named(field):
            target = read_url(url, self._allowed)
            async with _within(timeout_s), self._send("POST", target, fields, body) as answer:
                await _skip(answer)
                return Posted(status=answer.status, retry_after_s=_seconds(_field(answer, b"retry-after")))

    @asynccontextmanager
    async def _get(self, url: str, wanted: Wanted, offset: int, etag: str) -> AsyncIterator[httpcore2.Response]:
        target = read_url(url, self._allowed, https_only=wanted.https_only)
        part = [(b"range", b"bytes=%d-" % offset), (b"if-range", etag.encode("latin-1", "replace"))] if offset else []
        for _ in range(REDIRECTS_MAX + 1):
            async with self._send("GET", target, part) as answer:
                if answer.status in REDIRECTS:
                    location = _field(answer, b"location")
                    target = read_redirect(target, location, self._allowed, https_only=wanted.https_only)
                elif answer.status == 416 and part:  # it has no more than what we have: take it anew
                    part = []
                elif answer.status == 200 or (answer.status == 206 and part):
                    yield answer
                    return
                else:
                    raise UnusableUrl(f"it answers with status {answer.status}.", is_temporary=_is_fault(answer))
        raise UnusableUrl(f"it redirects more than {REDIRECTS_MAX} times.")

    @asynccontextmanager
    async def _send(
        self, method: str, target: Target, fields: Fields, body: bytes = b""
    ) -> AsyncIterator[httpcore2.Response]:
        """One request and its answer, whatever it says."""
        request = httpcore2.Request(
            method=method,
            url=httpcore2.URL(
                scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
            ),
            headers=[
                (b"host", target.authority.encode()),
                (b"user-agent", _USER_AGENT),
                (b"accept-encoding", b"identity"),
                *fields,
            ],
            content=body,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), SILENCE_S_MAX)},
        )
        with _failures():
            answer = await self._pool.handle_async_request(request)
        try:
            yield answer
        finally:
            await answer.aclose()


_USER_AGENT = f"Hypereal/{hypereal.__version__}".encode()


@contextmanager
def _named(field: str) -> Iterator[None]:
    """What is wrong with the URL is told of FIELD."""
    try:
        yield
    except UnusableUrl as error:
        if error.param is not None:
            raise
        raise UnusableUrl(f"{field}: {error.message}", param=field, is_temporary=error.is_temporary) from None


@asynccontextmanager
async def _within(total_s: float) -> AsyncIterator[None]:
    """Raises UnusableUrl where it takes longer. A TimeoutError that is not ours passes."""
    limit = asyncio.timeout(total_s)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise UnusableUrl("it does not answer in time.", is_temporary=True) from None
        raise


@contextmanager
def _failures() -> Iterator[None]:
    """What the network raises, as UnusableUrl."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise UnusableUrl("it does not answer in time.", is_temporary=True) from None
    except (httpcore2.NetworkError, OSError):
        raise UnusableUrl("it cannot be reached.", is_temporary=True) from None
    except httpcore2.ProtocolError:
        raise UnusableUrl("it does not answer in HTTP.", is_temporary=True) from None


async def _skip(answer: httpcore2.Response) -> None:
    """Read a short answer to its end."""
    size_bytes = 0
    with _failures():
        async for piece in answer.aiter_stream():
            size_bytes += len(piece)
            if size_bytes > ANSWER_BYTES_MAX:
                return


def _field(answer: httpcore2.Response, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for key, value in answer.headers if key.lower() == name), "")


def _is_fault(answer: httpcore2.Response) -> bool:
    return answer.status >= 500 or answer.status in (408, 425, 429)


_is_length = re.compile(r"[0-9]{1,18}").fullmatch


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() and len(text) < 10 else None


def _too_large(wanted: Wanted) -> UnusableUrl:
    return UnusableUrl(f"it has over {wanted.bytes_max} bytes.")
