"""How a conductor is driven, without sockets."""

import asyncio
from typing import Any

import pytest

from hypereal.gateway.call import HEARTBEAT_S, Call, ClientGone
from hypereal.gateway.facts import read_facts
from hypereal.net import RequestHead


class Silent:
    """An upstream that says nothing; what the sweep asks of one."""

    def __init__(self) -> None:
        self.is_done = False
        self.silent_s = 0
        self.lost: list[tuple[str, bool]] = []

    def lose(self, why: str, *, is_timeout: bool = False) -> None:
        self.lost.append((why, is_timeout))
        self.is_done = True


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


def test_silence_is_noticed_every_15_s_and_ends_at_the_timeout():
    call, upstream = make_call(), Silent()
    beats: list[int] = []
    call.upstream = upstream  # type: ignore[assignment]
    call.silence_s_max = 40
    call.on_silence = lambda: beats.append(upstream.silent_s)
    for _ in range(60):
        call.sweep()
    assert beats == [HEARTBEAT_S, 2 * HEARTBEAT_S]
    assert upstream.lost == [("no byte for 40 s", True)]


def test_a_call_without_an_upstream_has_nothing_to_sweep():
    make_call().sweep()
