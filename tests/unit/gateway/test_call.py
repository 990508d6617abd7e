"""How a conductor is driven, without sockets."""

import asyncio
from typing import Any

import pytest

from hypereal.gateway.call import HEARTBEAT_S, Call, ClientGone
from hypereal.gateway.facts import read_facts
from hypereal.net import RequestHead


class Silent:
    """An upstream that says nothing; what the sweep asks of one."""

    is_stream = False
    is_relaying = False

    def __init__(self) -> None:
        self.is_done = False
        self.silent_s = 0
        self.lost: list[tuple[str, bool]] = []

    def lose(self, why: str, *, is_timeout: bool = False) -> None:
        self.lost.append((why, is_timeout))
        self.is_done = True


class Pinging(Silent):
    """One that streams, a ping a second."""

    is_stream = True
    said: bytes | None = b"ping"

    def recent(self) -> bytes | None:
        self.silent_s = 0
        return self.said


def make_call() -> Call:
    head = RequestHead(b"POST", b"/v1/messages", b"")
    connection: Any = None
    return Call(connection, head, read_facts(head))


def test_a_conductor_runs_until_it_waits_and_goes_on_when_woken():
    call, seen = make_call(), []

    async def conductor() -> None:
        seen.append("begun")
        await call.wait()
        seen.append("woken")

    call.begin(conductor())
    assert seen == ["begun"]
    call.wake()
    assert seen == ["begun", "woken"]
    assert call.is_over


def test_a_failure_is_raised_where_it_waits_and_never_after_its_end():
    call, seen = make_call(), []

    async def conductor() -> None:
        try:
            await call.wait()
        except ClientGone:
            seen.append("gone")

    call.begin(conductor())
    call.client_gone()
    call.client_gone()
    assert seen == ["gone"]


async def test_work_aside_wakes_it_and_gives_its_result():
    call, done = make_call(), asyncio.Event()
    results = []

    async def conductor() -> None:
        results.append(await call.aside(asyncio.sleep(0, "result")))
        with pytest.raises(ZeroDivisionError):
            await call.aside(fails())
        done.set()

    async def fails() -> None:
        raise ZeroDivisionError

    call.begin(conductor())
    await asyncio.wait_for(done.wait(), 5)
    assert results == ["result"]


async def test_work_that_was_given_up_does_not_wake_a_later_wait():
    call, seen = make_call(), []
    never = asyncio.Event()

    async def conductor() -> None:
        with pytest.raises(ClientGone):
            await call.aside(never.wait())
        seen.append("left")
        await call.wait()
        seen.append("woken")

    call.begin(conductor())
    call.client_gone()
    for _ in range(5):
        await asyncio.sleep(0)  # the cancelled task's callback runs
    assert seen == ["left"]
    call.wake()
    assert seen == ["left", "woken"]


def swept(call: Call, upstream: Silent, sweeps: int) -> list[int]:
    """Sweeps a call whose upstream is UPSTREAM; returns after which of them a sign of life was due."""
    beats: list[int] = []
    call.upstream = upstream  # type: ignore[assignment]
    call.says_nothing = lambda events: events == b"ping"
    for sweep in range(1, sweeps + 1):
        call.on_silence = lambda at=sweep: beats.append(at)
        call.sweep()
    return beats


def test_silence_is_noticed_every_15_s_and_ends_at_the_timeout():
    call, upstream = make_call(), Silent()
    call.silence_s_max = 40
    assert swept(call, upstream, 44) == [HEARTBEAT_S, 2 * HEARTBEAT_S]
    assert upstream.lost == [("nothing for 40 s", True)]


def test_an_upstream_that_only_pings_is_given_up_too_and_its_client_hears_from_us():
    call, upstream = make_call(), Pinging()
    call.silence_s_max = 40
    assert swept(call, upstream, 44) == [HEARTBEAT_S, 2 * HEARTBEAT_S]
    assert upstream.lost == [("nothing for 40 s", True)]


def test_content_ends_the_quiet():
    call, upstream = make_call(), Pinging()
    call.silence_s_max = 40
    for said in (b"ping", b"words", b"ping", None):
        upstream.said = said
        swept(call, upstream, 30)
    assert upstream.lost == []


def test_a_relayed_stream_is_silent_only_where_the_upstream_is():
    call, upstream = make_call(), Pinging()
    upstream.is_relaying = True
    call.silence_s_max = 40
    assert swept(call, upstream, 35) == []


def test_a_client_that_waits_for_a_connection_or_a_back_off_hears_from_us():
    call, beats = make_call(), []
    call.on_silence = lambda: beats.append(call.waited_s)
    for _ in range(HEARTBEAT_S):
        call.sweep()
    assert beats == [HEARTBEAT_S]


def test_the_deadline_ends_an_attempt_however_much_it_says():
    call, upstream = make_call(), Pinging()
    upstream.said = None
    call.silence_s_max = 40
    call.deadline_s = 0.0
    swept(call, upstream, 1)
    assert upstream.lost == [("the deadline has passed", True)]


def test_a_call_without_an_upstream_has_nothing_to_sweep():
    make_call().sweep()
