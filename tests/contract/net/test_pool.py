"""Connections to an upstream over real sockets: refused, used again, closed while idle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.sockets import Asked, serve, serve_unix, until

from hypereal.net import Address, Pool, UpstreamLost
from hypereal.net.pool import IDLE_S_MAX

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)


async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)


@asynccontextmanager
async def pool_to(peer) -> AsyncIterator[Pool]:
    async with serve(peer) as port:
        pool = Pool(Address(host="127.0.0.1", port=port))
        yield pool
        pool.close()


async def ask(pool: Pool) -> Asked:
    upstream = pool.take() or await pool.connect()
    asked = Asked(upstream)
    upstream.send(asked, GET, b"")
    await asked.over()
    return asked


async def gone(asked: Asked) -> None:
    await until(lambda: asked.upstream.is_closed)


async def test_connection_is_used_again_last_in_first_out():
    async with pool_to(answer_each) as pool:
        first, second = await ask(pool), await ask(pool)
        assert first.upstream is not second.upstream
        first.upstream.give_back()
        second.upstream.give_back()
        assert pool.take() is second.upstream
        assert pool.take() is first.upstream
        assert pool.take() is None
        first.upstream.give_back()
        second.upstream.give_back()


async def test_connection_that_its_peer_closed_while_idle_is_not_handed_out():
    async with pool_to(answer_one) as pool:
        asked = await ask(pool)
        asked.upstream.give_back()
        await gone(asked)
        assert pool.take() is None


async def test_connection_that_its_peer_closes_under_a_new_request_is_stale():
    is_taken = asyncio.Event()

    async def close_on_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer_one(reader, writer)
        await is_taken.wait()

    async with pool_to(close_on_second) as pool:
        asked = await ask(pool)
        asked.upstream.give_back()
        upstream = pool.take()
        assert upstream is asked.upstream
        again = Asked(upstream)
        upstream.send(again, GET, b"")
        is_taken.set()
        await again.over()
        assert isinstance(again.failure, UpstreamLost)
        assert again.failure.is_stale


async def test_idle_connections_are_closed_after_a_while_and_all_at_the_end():
    async with pool_to(answer_each) as pool:
        asked = await ask(pool)
        asked.upstream.give_back()
        for _ in range(IDLE_S_MAX + 1):
            pool.sweep()
        assert pool.take() is None
        await gone(asked)
        last = await ask(pool)
        last.upstream.give_back()
        pool.close()
        await gone(last)
        assert pool.take() is None


async def test_bound_on_connections_counts_each_until_it_is_closed(monkeypatch):
    monkeypatch.setattr("hypereal.net.pool.CONNECTIONS_MAX", 2)
    async with pool_to(answer_each) as pool:
        first, second = await pool.connect(), await pool.connect()
        with pytest.raises(UpstreamLost, match="over 2 connections"):
            await pool.connect()
        first.give_back()
        second.give_back()
        for upstream in (first, second):
            await gone(Asked(upstream))
        (await pool.connect()).give_back()


async def test_refused_connections_are_lost_and_do_not_count(monkeypatch):
    monkeypatch.setattr("hypereal.net.pool.CONNECTIONS_MAX", 1)
    async with serve(answer_each) as port:
        pass
    pool = Pool(Address(host="127.0.0.1", port=port))
    for _ in range(3):
        with pytest.raises(UpstreamLost, match=f"no connection to 127.0.0.1:{port}"):
            await pool.connect()


async def test_unix_socket_is_an_address(tmp_path: Path):
    path = str(tmp_path / "s")
    pool = Pool(Address(path=path))
    with pytest.raises(UpstreamLost, match="no connection to unix:"):
        await pool.connect()
    async with serve_unix(answer_each, path):
        asked = await ask(pool)
        assert asked.upstream.whole() == b"ok"
        asked.upstream.give_back()
        assert pool.take() is asked.upstream
        asked.upstream.give_back()
        pool.close()
        await gone(asked)


async def test_thousand_calls_one_after_another_share_a_connection():
    async with pool_to(answer_each) as pool:
        seen = set()
        for _ in range(1000):
            asked = await ask(pool)
            assert asked.upstream.whole() == b"ok"
            seen.add(asked.upstream)
            asked.upstream.give_back()
        assert len(seen) == 1
