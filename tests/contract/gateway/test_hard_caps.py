"""200 calls at once on what 100 of them use up, over 1, 2 and 4 data processes: never over, and hardly under."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.raw import Answer, Raw
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"
CALLS = 200
FIT = 100
MICRO = 1_000_000
OUTPUT_TOKENS = 10_000
"""Of every call, held and used: 10 credits at the model's price; what the prompt is held for is a hundredth of one."""
BODY = {"model": "one-target", "messages": [], "max_tokens": OUTPUT_TOKENS}
CREDITS = FIT * 10.1


@pytest.fixture(scope="module", params=[1, 2, 4])
def served(request: pytest.FixtureRequest, background: Background) -> Iterator[tuple[Server, Upstream]]:
    """A server of so many data processes, and its own upstream."""
    upstream = Upstream(background)
    usage = {"prompt_tokens": 100, "completion_tokens": OUTPUT_TOKENS}
    upstream.answer_all(lambda _: scripts.plain(vendors.chat_answer(usage=usage)))
    config = servers.config(upstream, requests_per_minute=100_000) + "\n[ledger]\nminimum_balance_credits = 0\n"
    running = Server(background, servers.upstream_environ(upstream), config, workers=request.param)
    yield running, upstream
    servers.assert_ended_well(running)
    upstream.close()


def at_once(server: Server, caller: Caller) -> list[Answer]:
    """The answers to CALLS calls that are all on their way before the first is read."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Raw(server.url)) for _ in range(CALLS)]
        for connection in connections:
            connection.post(CHAT, BODY, caller.secret)
        return [connection.answer() for connection in connections]


def assert_hard(server: Server, caller: Caller, answers: list[Answer], status: int, kind: str) -> list[Answer]:
    """What fits was admitted, within 95 %, and charged; the others were refused with STATUS and KIND. Those."""
    admitted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status != 200]
    assert {(answer.status, answer.error["type"]) for answer in refused} == {(status, kind)}
    assert FIT * 95 // 100 <= len(admitted) <= FIT
    rows = server.rows_of(caller, CALLS)
    charged = sum(row["charged"] for row in rows)
    told = sum(round(float(answer.get("x-hypereal-cost-credits") or 0) * MICRO) for answer in admitted)
    assert charged == told <= CREDITS * MICRO
    assert len({row["request_id"] for row in rows}) == len(rows) == CALLS
    return refused


def test_a_wallet_is_never_overspent(served: tuple[Server, Upstream]) -> None:
    server, _ = served
    caller = server.caller(CREDITS)
    assert_hard(server, caller, at_once(server, caller), 402, "insufficient_credits")
    assert server.is_idle(caller)
    assert 0 <= server.balance(caller).ledger < CREDITS * MICRO * 0.06


def test_a_spending_limit_is_never_exceeded(served: tuple[Server, Upstream]) -> None:
    server, _ = served
    caller = server.caller(100_000, spending_limit=round(CREDITS * MICRO))
    for answer in assert_hard(server, caller, at_once(server, caller), 402, "spending_limit_reached"):
        assert answer.error["resets_at"].endswith("-01T00:00:00Z")


def test_a_rate_limit_is_never_exceeded(served: tuple[Server, Upstream]) -> None:
    server, _ = served
    caller = server.caller(100_000)
    text = server.config.read_text("utf-8")
    reloads, workers = server.log.count("settings reloaded"), len(server.pids) - 1
    server.config.write_text(text.replace("requests_per_minute = 100000", f"requests_per_minute = {FIT}"), "utf-8")
    server.signal(servers.signal.SIGHUP)
    server.wait_for(lambda: server.log.count("settings reloaded") == reloads + workers, "the reload")
    server.wait_for(lambda: time.time() % 60 < 50, "a minute that lasts long enough")
    try:
        for answer in assert_hard(server, caller, at_once(server, caller), 429, "rate_limit_error"):
            assert 1 <= int(answer.get("x-ratelimit-reset") or 0) <= 60
            assert 1 <= int(answer.get("retry-after") or 0) <= 30
    finally:
        server.config.write_text(text, "utf-8")
        server.signal(servers.signal.SIGHUP)
