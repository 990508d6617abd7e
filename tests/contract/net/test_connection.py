"""Our server over real sockets, with a client of plain streams."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.support.clients import OK, OK_CLOSE, Desk, Exchange, post, post_chunked, read_then_answer
from tests.support.sockets import serve, until

from hypereal.net import Connection, Upstream, chunk
from hypereal.net.server import LINGER_S, LONG_BODY_BYTES

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LONG = bytes(8_000_000)


class Wire(NamedTuple):
    """A client's streams, and the desk that serves them."""

    desk: Desk
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *data: bytes) -> bytes:
        """What is answered to DATA, as long as OK."""
        for piece in data:
            self.writer.write(piece)
            await self.writer.drain()
        return await self.reader.readexactly(len(OK))


@asynccontextmanager
async def wire_to(begin: Callable[[Exchange], None]) -> AsyncIterator[Wire]:
    loop = asyncio.get_running_loop()
    desk = Desk(begin, body_bytes_max=32 << 20)
    server = await loop.create_server(lambda: Connection(desk, loop), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    async with asyncio.timeout(30):
        yield Wire(desk, reader, writer)
    writer.close()
    for connection in list(desk.connections):
        connection.transport.abort()
    server.close()


async def test_bodies_of_all_sizes_pass_on_one_connection():
    async with wire_to(read_then_answer) as wire:
        for size in (0, 1, LONG_BODY_BYTES, LONG_BODY_BYTES + 1, 200_000, 5_000_000):
            body = bytes(range(256)) * (size // 256)
            assert await wire.ask(post(body)) == OK
            assert wire.desk.calls[-1].body == body
            assert await wire.ask(post_chunked(chunk(body or b"x") + b"0\r\n\r\n")) == OK
        assert len(wire.desk.connections) == 1


async def test_pipelined_requests_with_long_bodies_are_answered_in_order():
    async with wire_to(read_then_answer) as wire:
        wire.writer.write((post(b"a" * 300_000) + GET + post_chunked(chunk(b"b" * 100_000) + b"0\r\n\r\n")) * 5)
        assert await wire.reader.readexactly(len(OK) * 15) == OK * 15
        assert [len(call.body or b"") for call in wire.desk.calls] == [300_000, 0, 100_000] * 5


async def test_continue_comes_before_the_body_is_sent():
    async with wire_to(read_then_answer) as wire:
        head, body = post(b"x" * 300_000, b"Expect: 100-continue").split(b"\r\n\r\n")
        wire.writer.write(head + b"\r\n\r\n")
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await wire.ask(body) == OK


async def test_refusal_reaches_a_client_that_is_still_sending_its_body():
    async with wire_to(Exchange.answer) as wire:
        wire.writer.write(post(LONG)[:4_000_000])
        assert await wire.reader.read() == OK_CLOSE
        for _ in range(LINGER_S):
            for connection in list(wire.desk.connections):
                connection.sweep()
        await until(lambda: not wire.desk.connections)


async def test_long_last_answer_reaches_a_slow_reader_whole():
    def answer(call: Exchange) -> None:
        call.connection.transport.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + LONG)
        call.connection.done()

    async with wire_to(answer) as wire:
        wire.writer.write(GET_CLOSE)
        await until(lambda: bool(wire.desk.calls))
        for _ in range(LINGER_S * 3):
            for connection in list(wire.desk.connections):
                connection.sweep()
        assert len(await wire.reader.read()) > len(LONG)


async def test_slow_reader_is_paused_for_and_resumed():
    async with wire_to(lambda call: None) as wire:
        wire.writer.write(GET)
        await until(lambda: bool(wire.desk.calls))
        call = wire.desk.calls[0]
        for _ in range(100):
            call.connection.transport.write(LONG[:100_000])
            await asyncio.sleep(0)
        await until(lambda: call.told == ["pause"])
        read = 0
        while read < 10_000_000:
            read += len(await wire.reader.read(1 << 20))
        await until(lambda: call.told == ["pause", "resume"])


async def test_slow_client_stops_the_upstream_that_is_relayed_to_it():
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(chunk(b'data: {"%s"}\n\n' % (b"x" * 10_000)))
            await writer.drain()

    class Owner:
        def put(self, upstream: Upstream) -> None: ...
        def closed(self, upstream: Upstream) -> None: ...

    async with wire_to(lambda call: None) as wire, serve(endless) as port:
        wire.writer.write(GET)
        await until(lambda: bool(wire.desk.calls))
        call, upstream = wire.desk.calls[0], Upstream(Owner())
        await asyncio.get_running_loop().create_connection(lambda: upstream, "127.0.0.1", port)
        call.pause = upstream.pause  # type: ignore[method-assign]
        call.resume = upstream.resume  # type: ignore[method-assign]

        class Caller:
            def wake(self) -> None:
                upstream.relay(call.connection.transport, b"")

            def fail(self, why: Exception) -> None: ...

        upstream.send(Caller(), GET, b"")
        await until(lambda: call.connection.is_out_paused)
        relayed = upstream.relayed_bytes
        for _ in range(50):
            await asyncio.sleep(0)
        assert upstream.relayed_bytes == relayed
        await wire.reader.readexactly(relayed)
        await until(lambda: upstream.relayed_bytes > relayed)
        upstream.give_back()


async def test_client_that_leaves_or_half_closes_is_gone():
    for leave in ("close", "half-close"):
        async with wire_to(lambda call: None) as wire:
            wire.writer.write(GET)
            await until(lambda wire=wire: bool(wire.desk.calls))
            if leave == "close":
                wire.writer.close()
            else:
                wire.writer.write_eof()
            await until(lambda wire=wire: wire.desk.calls[0].told == ["gone"])
            assert wire.desk.connections == set()


async def test_client_that_leaves_in_a_long_body_is_gone():
    async with wire_to(lambda call: call.read()) as wire:
        wire.writer.write(post(LONG)[:1_000_000])
        await until(lambda: bool(wire.desk.calls))
        wire.writer.close()
        await until(lambda: wire.desk.calls[0].told == ["gone"])


async def test_thousand_refusals_pipelined_are_all_answered():
    async with wire_to(Exchange.answer) as wire:
        wire.writer.write(post(b"hello") * 1000)
        assert await wire.reader.readexactly(len(OK) * 1000) == OK * 1000
