"""An account's access token over a real connection: asked for once, renewed in time, and failures that stay small."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from tests.support import upstream as scripts
from tests.support.clouds import Google
from tests.support.upstream import Do, Upstream

from hypereal.gateway import Pools, access_tokens
from hypereal.gateway.access_tokens import ENDS_EARLY_S, RENEW_S, RETRY_S, SUSPECT_S, AccessToken
from hypereal.kit import clock
from hypereal.net import UpstreamLost
from hypereal.providers.service_account import read_account


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock, "boottime_s", made)
    return made


@pytest.fixture
def google(upstream: Upstream) -> Google:
    made = Google(f"{upstream.url}/token")
    upstream.answer_all(made.answer)
    return made


@pytest.fixture
async def token(google: Google) -> AsyncIterator[AccessToken]:
    pools = Pools(ssl.create_default_context())
    yield AccessToken(read_account(google.key_file()), pools)
    pools.close()
    await asyncio.sleep(0)  # until they are closed


async def settled(token: AccessToken) -> None:
    """What goes on in the background is over."""
    while token._asking is not None:
        await token._asking


async def test_all_who_wait_share_one_request(token: AccessToken, upstream: Upstream, google: Google):
    assert not token.is_at_hand()
    await asyncio.gather(*(token.get() for _ in range(20)))
    assert len(upstream.requests) == 1
    assert token.is_at_hand()
    assert token.value.decode() == google.given[0]
    head = upstream.requests[0]
    assert (head.path, head.get("content-type")) == ("/token", "application/x-www-form-urlencoded")


async def test_one_who_leaves_takes_the_request_from_nobody(token: AccessToken, upstream: Upstream, google: Google):
    gate = upstream.gate()
    upstream.answer_head([Do.READ_BODY, gate, *scripts.plain({"access_token": "t", "expires_in": 3600})])
    first, second = (asyncio.ensure_future(token.get()) for _ in range(2))
    await asyncio.to_thread(upstream.request)
    first.cancel()
    gate.open()
    await second
    assert first.cancelled()
    assert token.value == b"t"


async def test_it_is_renewed_before_its_end_while_it_is_still_used(
    token: AccessToken, now: Clock, upstream: Upstream, google: Google
):
    await token.get()
    now.now_s += 3600 - ENDS_EARLY_S - RENEW_S - 1
    assert token.is_at_hand()
    assert len(upstream.requests) == 1
    now.now_s += RENEW_S - 1
    assert token.is_at_hand()
    assert token.value.decode() == google.given[0]
    await settled(token)
    assert token.value.decode() == google.given[1]
    now.now_s += RENEW_S
    assert token.is_at_hand()


async def test_nothing_is_used_past_its_end(token: AccessToken, now: Clock, google: Google):
    await token.get()
    now.now_s += 3600 - ENDS_EARLY_S
    assert not token.is_at_hand()
    await token.get()
    assert token.value.decode() == google.given[1]


async def test_one_that_calls_fail_with_is_renewed_though_not_at_once(
    token: AccessToken, now: Clock, upstream: Upstream, google: Google
):
    await token.get()
    assert token.is_at_hand(is_suspect=True)
    assert len(upstream.requests) == 1
    now.now_s += SUSPECT_S
    assert token.is_at_hand(is_suspect=True)
    await settled(token)
    assert token.value.decode() == google.given[1]


async def test_a_refusal_is_told_and_not_repeated_at_once(
    token: AccessToken, now: Clock, upstream: Upstream, google: Google
):
    upstream.answer_all(lambda _: scripts.plain({"error": "invalid_grant", "error_description": "x"}, 400))
    for _ in range(3):
        with pytest.raises(UpstreamLost, match=r"no access token for gateway@.*: status 400: invalid_grant"):
            await token.get()
    assert len(upstream.requests) == 1
    now.now_s += RETRY_S
    upstream.answer_all(google.answer)
    await token.get()
    assert token.is_at_hand()


async def test_a_failed_renewal_leaves_what_is_still_good(
    token: AccessToken, now: Clock, upstream: Upstream, google: Google
):
    await token.get()
    now.now_s += 3600 - ENDS_EARLY_S - 1
    upstream.answer_all(lambda _: scripts.raw(Do.CUT))
    assert token.is_at_hand()
    await settled(token)
    assert token.is_at_hand()
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "script",
    [
        scripts.plain(b"<html>"),
        scripts.plain({}),
        scripts.plain({"access_token": "a\r\nb: c", "expires_in": 3600}),
        scripts.plain({"access_token": "", "expires_in": 3600}),
        scripts.plain({"access_token": "a", "expires_in": "soon"}),
        scripts.plain({"access_token": "a", "expires_in": -1}),
        scripts.plain({"access_token": "a"}, 302),
        scripts.stream([b"data: {}\n\n"]),
        scripts.raw(Do.CUT),
    ],
    ids=["HTML", "empty", "two lines", "no token", "no number", "over already", "redirect", "stream", "cut"],
)
async def test_an_answer_that_is_none_gives_no_token(script, token: AccessToken, upstream: Upstream):
    upstream.answer_all(lambda _: script)
    with pytest.raises(UpstreamLost, match="no access token"):
        await token.get()
    assert not token.is_at_hand()


async def test_a_silent_endpoint_is_not_waited_for(
    token: AccessToken, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access_tokens, "ASK_S_MAX", 0.2)
    upstream.answer_head([upstream.gate()])
    with pytest.raises(UpstreamLost, match=r"no answer of 127\.0\.0\.1"):
        await token.get()
