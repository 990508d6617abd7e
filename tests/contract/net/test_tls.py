"""TLS towards an upstream, and back-pressure, over loopback sockets: what doubles cannot show."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.support.certificate import Certificate
from tests.support.sockets import Asked, serve

from hypereal.net import Address, Pool, UpstreamLost, client_context

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def secure_pool(certificate: Certificate, peer: Peer, host: str = "localhost") -> AsyncIterator[Pool]:
    async with serve(peer, certificate.server_context()) as port:
        pool = Pool(Address(host=host, port=port, uses_tls=True), client_context(str(certificate.file)))
        yield pool
        pool.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def ask(pool: Pool, body: bytes) -> Asked:
    upstream = pool.take() or await pool.connect()
    asked = Asked(upstream)
    upstream.send(asked, HEAD % len(body), body)
    await asked.over()
    return asked


@pytest.mark.parametrize("size", [0, 1000, 5_000_000])
async def test_request_and_answer_pass_whole_and_the_connection_is_used_again(certificate, size):
    body = bytes(range(256)) * (size // 256)
    async with secure_pool(certificate, echo) as pool:
        first = await ask(pool, body)
        assert first.upstream.whole() == body
        first.upstream.give_back()
        second = await ask(pool, b"again")
        assert second.upstream is first.upstream
        assert second.upstream.whole() == b"again"
        second.upstream.give_back()


async def test_http_1_1_is_what_is_agreed(certificate):
    agreed = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await echo(reader, writer)

    async with secure_pool(certificate, note) as pool:
        (await ask(pool, b"")).upstream.give_back()
    assert agreed == ["http/1.1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_wrong_name_and_unknown_authority_are_refused(certificate, host):
    async with serve(echo, certificate.server_context()) as port:
        trust = client_context(str(certificate.file) if host == "127.0.0.1" else None)
        pool = Pool(Address(host=host, port=port, uses_tls=True), trust)
        with pytest.raises(UpstreamLost, match="TLS with"):
            await pool.connect()


async def test_peer_that_speaks_no_tls_is_refused():
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve(plain) as port:
        with pytest.raises(UpstreamLost):
            await Pool(Address(host="localhost", port=port, uses_tls=True), client_context()).connect()


async def test_handshake_that_hangs_is_given_up_and_its_socket_closed(monkeypatch):
    monkeypatch.setattr("hypereal.net.pool.CONNECT_S_MAX", 0.1)
    was_closed = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        was_closed.set()

    async with serve(silent) as port:
        with pytest.raises(UpstreamLost, match="within"):
            await Pool(Address(host="localhost", port=port, uses_tls=True), client_context()).connect()
        async with asyncio.timeout(5):
            await was_closed.wait()


async def test_answer_that_ends_at_the_close_is_whole_only_with_close_notify(certificate):
    is_clean = True

    async def until_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        if is_clean:
            writer.close()
        else:
            sock = writer.get_extra_info("socket").dup()
            sock.shutdown(2)
            sock.close()

    async with secure_pool(certificate, until_close) as pool:
        whole = await ask(pool, b"")
        assert whole.failure is None
        assert whole.upstream.whole() == b"hello"
        is_clean = False
        cut = await ask(pool, b"")
        assert isinstance(cut.failure, UpstreamLost)


async def test_paused_upstream_stops_its_peer(certificate):
    sent = 0
    is_full = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n")
        for _ in range(400):
            writer.write(bytes(100_000))
            try:
                async with asyncio.timeout(0.3):
                    await writer.drain()
            except TimeoutError:
                is_full.set()
                await writer.drain()
            sent += 100_000

    async with secure_pool(certificate, flood) as pool:
        upstream = await pool.connect()
        asked = Asked(upstream)
        upstream.send(asked, HEAD % 0, b"")
        upstream.pause()
        async with asyncio.timeout(20):
            await is_full.wait()
            assert sent < 40_000_000
            upstream.resume()
            await asked.over()
        assert len(upstream.whole()) == 40_000_000
        upstream.give_back()
