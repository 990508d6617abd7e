"""Whatever upstreams do and however long they take: how often they are asked, until when, and with which key.

The targets are real but for their sockets, and time is the test's: a plan says what each request comes to.
"""

import asyncio
from asyncio import sleep as real_sleep
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import vendors
from tests.support.transports import RecordingTransport

from hypereal.catalog import TargetSpec
from hypereal.gateway import attempts
from hypereal.gateway.attempts import TRIES_MAX, TRIES_PER_TARGET, open_answer
from hypereal.gateway.bill import Bill
from hypereal.gateway.call import Call
from hypereal.gateway.facts import read_facts
from hypereal.gateway.health import FAILURES_MAX, KeyRing
from hypereal.gateway.routing import Target, Way
from hypereal.kit.clock import coarse
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest
from hypereal.net import RequestHead, Upstream, UpstreamLost, chunk
from hypereal.net.pool import CONNECT_S_MAX
from hypereal.providers import Provider, load
from hypereal.wire import DIALECTS, Request

CHAT = Dialect.OPENAI_CHAT
DEADLINE_S = 30.0
TIMEOUT_S = 5.0
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ANNOUNCED, CONTENT = vendors.chat_events()[:2]
SILENT_LOG = SimpleNamespace(info=lambda *_, **__: None, error=lambda *_, **__: None)
ERROR = vendors.event({"error": {"message": "x", "type": "server_error"}})


@dataclass(frozen=True)
class Fate:
    """What one request comes to, AFTER_S later."""

    kind: str
    after_s: int = 0
    status: int = 200
    retry_after_s: int | None = None


@dataclass
class Asked:
    """One request that went out."""

    at_s: float
    provider: str
    key: str
    fate: Fate
    is_stale: bool = False
    """It went over a connection that the upstream had closed while it was idle."""


@dataclass
class World:
    """Time, and the upstreams. Each request gets the next of FATES; when they are used up, an answer."""

    fates: list[Fate]
    now_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    open: set[Upstream] = field(default_factory=set)
    waiting: "tuple[Upstream, RecordingTransport, Fate] | None" = None
    call: Call | None = None

    @property
    def fate(self) -> Fate:
        """Of the request that comes next."""
        return self.fates[0] if self.fates else Fate("answers")

    def take_fate(self) -> Fate:
        return self.fates.pop(0) if self.fates else Fate("answers")

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds
        coarse.monotonic_s = self.now_s

    async def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    # -- what the conductor's requests come to -------------------------------------------------------------------------

    def answer(self) -> None:
        """The request that waits comes to its fate, or is given up before."""
        assert self.waiting is not None and self.call is not None
        upstream, transport, fate = self.waiting
        self.waiting = None
        seconds = 10_000 if fate.kind in ("hangs", "pings") else fate.after_s
        if fate.kind in ("pings", "announces"):
            transport.feed(SSE + chunk(ANNOUNCED))
        for _ in range(seconds):
            self.pass_by(1)
            if fate.kind == "pings":
                transport.feed(chunk(b": ping\n\n"))
            self.call.sweep()
            if self.call.upstream is not upstream:
                return
        match fate.kind:
            case "answers":
                body = vendors.encode(vendors.chat_answer())
                transport.feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            case "streams":
                transport.feed(SSE + chunk(ANNOUNCED + CONTENT))
            case "announces":
                transport.feed(chunk(ERROR))
            case "refuses":
                wait = b"" if fate.retry_after_s is None else b"retry-after: %d\r\n" % fate.retry_after_s
                transport.feed(b"HTTP/1.1 %d x\r\ncontent-length: 2\r\n%s\r\n{}" % (fate.status, wait))
            case "cuts" | "was stale":
                transport.lose()


class FakePool:
    """Connections of one provider."""

    def __init__(self, world: World, provider: str) -> None:
        self._world = world
        self._provider = provider

    def take(self) -> Upstream | None:
        kind = self._world.fate.kind
        return None if kind in ("no connection", "deaf") else self._make(is_reused=kind == "was stale")

    async def connect(self, within_s: float) -> Upstream:
        world = self._world
        if world.fate.kind in ("no connection", "deaf"):
            fate = world.take_fate()
            world.asked.append(Asked(world.now_s, self._provider, "", fate))
            if fate.kind == "deaf":
                world.pass_by(max(0.0, min(within_s, CONNECT_S_MAX)))
            raise UpstreamLost("no connection")
        return self._make()

    def _make(self, *, is_reused: bool = False) -> Upstream:
        world, upstream, transport = self._world, Upstream(self), RecordingTransport()
        transport.connect(upstream)
        upstream._is_reused = is_reused
        world.open.add(upstream)

        def sent() -> None:
            fate = world.take_fate()
            key = transport.written.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()
            is_stale = is_reused and fate.kind == "was stale"
            world.asked.append(Asked(world.now_s, self._provider, key, fate, is_stale))
            world.waiting = (upstream, transport, fate)

        transport.on_write = sent
        return upstream

    def put(self, upstream: Upstream) -> None:
        self._world.open.discard(upstream)

    def closed(self, upstream: Upstream) -> None:
        self._world.open.discard(upstream)


@dataclass
class Outcome:
    """Of one call."""

    bill: Bill
    result: Way | HyperealError
    world: World
    targets: Sequence[int]
    """The number of keys of each."""


def call_through(targets: Sequence[int], fates: Sequence[Fate]) -> Outcome:
    """Ask TARGETS, each with so many keys, in turn."""
    world = World(list(fates))
    ways = tuple(make_way(world, f"p{number}", keys) for number, keys in enumerate(targets))
    with ExitStack() as stack:
        for module in ("attempts", "call"):
            stack.enter_context(patch(f"hypereal.gateway.{module}.monotonic", lambda: world.now_s))
        stack.enter_context(patch.object(attempts, "asyncio", SimpleNamespace(sleep=world.sleep)))
        stack.enter_context(patch.object(attempts, "log", SimpleNamespace(get=lambda _: SILENT_LOG)))
        stack.enter_context(patch.object(coarse, "monotonic_s", 0.0))
        return asyncio.run(conduct(world, ways, targets))


def make_way(world: World, name: str, keys: int) -> Way:
    pools: Any = SimpleNamespace(of=lambda _: FakePool(world, name))
    spec = TargetSpec(provider=name, model="m")
    return Way(Target(provider_of(name, keys), spec, "m"), CHAT, None, pools=pools, keys=KeyRing(keys))


@cache
def provider_of(name: str, keys: int) -> Provider:
    table = {
        "dialects": ["openai_chat"],
        "base_url": "http://127.0.0.1:9/v1",
        "api_keys": [f"{name}-key-{number}" for number in range(keys)],
        "timeout_s": TIMEOUT_S,
    }
    return load({name: table}, {}, Path("/run/local.sock"))[name]


async def conduct(world: World, ways: tuple[Way, ...], targets: Sequence[int]) -> Outcome:
    head = RequestHead(b"POST", b"/v1/chat/completions", b"")
    connection: Any = None
    plane: Any = None
    call = world.call = Call(connection, head, read_facts(head))
    call.deadline_s, call.relays = DEADLINE_S, True
    bill = Bill(call, plane)
    bill.request = request()
    results: list[Way | HyperealError] = []

    async def conductor() -> None:
        try:
            results.append(await open_answer(call, bill, ways))
        except HyperealError as error:
            results.append(error)

    call.begin(conductor())
    while not call.is_over:
        if world.waiting is not None:
            world.answer()
        else:
            await real_sleep(0)
    return Outcome(bill, results[0], world, targets)


def request() -> Request:
    return DIALECTS[CHAT].read(b'{"model":"m","messages":[],"stream":true}')


# -- what holds for every plan -----------------------------------------------------------------------------------------

short = st.integers(0, 4)
FATES = st.one_of(
    st.builds(Fate, st.sampled_from(["answers", "streams", "cuts", "announces"]), short),
    st.builds(Fate, st.sampled_from(["hangs", "pings", "no connection", "deaf", "was stale"])),
    st.builds(
        Fate,
        st.just("refuses"),
        short,
        st.sampled_from([400, 401, 402, 403, 404, 429, 500, 503, 529]),
        st.one_of(st.none(), st.integers(0, 15)),
    ),
)
PLANS = st.lists(FATES, max_size=20)
TARGETS = st.lists(st.sampled_from([1, 1, 1, 2, 3, 12]), min_size=1, max_size=6)
OVER = {"answers", "streams"}


@settings(deadline=None, max_examples=300)
@given(TARGETS, PLANS)
def test_attempts_stay_within_their_bounds_whatever_happens(targets: list[int], plan: list[Fate]):
    outcome = call_through(targets, plan)
    bill, world = outcome.bill, outcome.world
    counted = [one for one in world.asked if not one.is_stale]
    assert bill.attempts == len(counted) <= TRIES_MAX
    for number, keys in enumerate(targets):
        asked = [one for one in counted if one.provider == f"p{number}"]
        assert len(asked) <= (TRIES_PER_TARGET if keys == 1 else TRIES_MAX)
    assert all(one.at_s < DEADLINE_S for one in world.asked)
    assert world.now_s <= DEADLINE_S + 1  # a sweep later
    blamed = isinstance(outcome.result, InvalidRequest)
    assert len(bill.tried or ()) == bill.attempts - (isinstance(outcome.result, Way) or blamed)


@settings(deadline=None, max_examples=300)
@given(TARGETS, PLANS)
def test_the_first_answer_is_the_last_request_and_its_connection_the_only_one_kept(
    targets: list[int], plan: list[Fate]
):
    outcome = call_through(targets, plan)
    asked, call = outcome.world.asked, outcome.world.call
    assert all(one.fate.kind not in OVER for one in asked[:-1])
    assert call is not None
    if isinstance(outcome.result, Way):
        assert asked[-1].fate.kind in OVER
        assert outcome.bill.way is outcome.result
        assert outcome.result.target.provider.name == asked[-1].provider
        assert call.upstream is not None
    else:
        assert not isinstance(outcome.result, InvalidRequest) or asked[-1].fate.status == 400
    kept = [one for one in outcome.world.open if not one.transport.is_closing()]
    assert kept in ([], [call.upstream])


@settings(deadline=None, max_examples=300)
@given(TARGETS, PLANS)
def test_targets_are_asked_in_order_and_a_refused_key_is_not_used_again(targets: list[int], plan: list[Fate]):
    asked = call_through(targets, plan).world.asked
    assert all(one.provider <= other.provider for one, other in pairwise(asked))
    refused: set[str] = set()
    for one in asked:
        assert one.key not in refused
        if one.fate.kind == "refuses" and one.fate.status in (401, 402, 403) and not one.fate.retry_after_s:
            refused.add(one.key)


# -- examples of it ----------------------------------------------------------------------------------------------------


def kinds_asked(targets: list[int], *fates: Fate) -> list[str]:
    return [one.key or one.provider for one in call_through(targets, fates).world.asked]


def refuses(status: int, retry_after_s: int | None = None) -> Fate:
    return Fate("refuses", 0, status, retry_after_s)


def test_a_refused_key_is_followed_by_the_next_at_once():
    outcome = call_through([3, 1], [refuses(401), refuses(403)])
    assert [one.key for one in outcome.world.asked] == ["p0-key-0", "p0-key-1", "p0-key-2"]
    assert outcome.world.now_s == 0


def test_where_every_key_is_refused_the_next_target_answers():
    asked = kinds_asked([2, 1], refuses(401), refuses(401))
    assert asked == ["p0-key-0", "p0-key-1", "p1-key-0"]


def test_a_target_whose_breaker_opens_is_asked_no_more_and_leaves_tries_for_the_next():
    assert kinds_asked([12, 1], *[refuses(401)] * 12) == [*(f"p0-key-{n}" for n in range(FAILURES_MAX)), "p1-key-0"]


def test_a_wait_that_is_too_long_with_another_target_left_is_not_waited_for():
    outcome = call_through([1, 1], [refuses(429, 3)])
    assert [one.provider for one in outcome.world.asked] == ["p0", "p1"]
    assert outcome.world.now_s == 0


def test_a_short_wait_is_waited_for_in_full():
    outcome = call_through([1, 1], [refuses(429, 2)])
    assert [(one.provider, one.at_s) for one in outcome.world.asked] == [("p0", 0), ("p0", 2)]


def test_the_last_target_is_waited_for_longer_but_not_for_ever():
    assert call_through([1], [refuses(429, 10)]).world.now_s == 10
    assert len(call_through([1], [refuses(429, 11)]).world.asked) == 1


def test_a_connection_that_does_not_come_ends_with_the_deadline():
    outcome = call_through([1] * 6, [Fate("deaf")] * 12)
    assert [one.at_s < DEADLINE_S for one in outcome.world.asked] == [True] * len(outcome.world.asked)
    assert outcome.world.now_s <= DEADLINE_S
