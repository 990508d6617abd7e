"""A price that is set reaches running processes by itself; a call is charged what held when it began."""

from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.raw import Raw
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

from hypereal.catalog import Price, set_price
from hypereal.kit.clock import utc_now
from hypereal.kit.money import Micro, Rate

MODEL = "repriced"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
RATES = ("output", "cache_read", "cache_write", "cache_write_1h")


class Prices:
    """Of MODEL, at a running server."""

    def __init__(self, server: Server, background: Background) -> None:
        self._server = server
        self._background = background

    def set(self, rate: int | None, seconds: float = 0.0) -> str:
        """So many micro-credits per million tokens of every kind, in so many seconds; the version."""
        amounts = {name: Rate(rate or 0) for name in ("input", *RATES)}
        price = None if rate is None else Price(version="", web_search=Micro(0), **amounts)
        since = utc_now() + timedelta(seconds=seconds) if seconds else None
        made = self._background.run(set_price(self._server.database, MODEL, price, by="test", valid_from=since))
        return f"p{made.id}"

    def row(self, caller: Caller) -> asyncpg.Record:
        """The row of a call now."""
        answer = self._server.call("/v1/chat/completions", CHAT, caller.secret)
        assert answer.status == 200, answer.body
        return self._server.usage(answer.get("x-request-id") or "")

    def wait_for(self, caller: Caller, version: str) -> asyncpg.Record:
        """The row of the first call that is charged by VERSION."""
        rows: list[asyncpg.Record] = []

        def is_there() -> bool:
            rows.append(self.row(caller))
            return bool(rows[-1]["price_version"] == version)

        self._server.wait_for(is_there, f"price {version}")
        return rows[-1]


@pytest.fixture
def prices(server: Server, background: Background, caller: Caller) -> Iterator[Prices]:
    made = Prices(server, background)
    of_files = made.row(caller)["price_version"]
    yield made
    made.set(None)
    made.wait_for(caller, of_files)


def cost_of(row: asyncpg.Record, rate: int) -> int:
    tokens = row["input_tokens"] + row["output_tokens"] + row["cache_read_tokens"]
    return -(-tokens * rate // 1_000_000)


def test_a_price_that_is_set_is_charged_within_a_second(
    server: Server, upstream: Upstream, caller: Caller, prices: Prices
):
    for rate in (500_000_000, 700_000_000):
        began = utc_now()
        version = prices.set(rate)
        row = prices.wait_for(caller, version)
        assert row["cost"] == cost_of(row, rate) > 0
        assert row["started_at"] - began < timedelta(seconds=1)


def test_a_price_to_come_holds_from_its_moment_on(server: Server, upstream: Upstream, caller: Caller, prices: Prices):
    now, later = prices.set(500_000_000), prices.set(900_000_000, seconds=1.0)
    assert prices.wait_for(caller, now)["cost"] > 0
    row = prices.wait_for(caller, later)
    assert row["cost"] == cost_of(row, 900_000_000)


def test_a_call_keeps_the_price_that_it_began_with(server: Server, upstream: Upstream, caller: Caller, prices: Prices):
    before = prices.set(500_000_000)
    prices.wait_for(caller, before)
    gate = upstream.gate()
    events = vendors.chat_events()
    upstream.answer("up-repriced", scripts.stream([*events[:2], gate, *events[2:]]))
    with Raw(server.url) as connection:
        connection.post("/v1/chat/completions", {**CHAT, "stream": True}, caller.secret)
        request_id = connection.head().get("x-request-id")
        prices.wait_for(caller, prices.set(900_000_000))
        gate.open()
        assert b"".join(connection.chunks()).rstrip().endswith(b"[DONE]")
    row = server.usage(request_id or "")
    assert (row["price_version"], row["cost"]) == (before, cost_of(row, 500_000_000))
