"""Ears on what is being made."""

import pytest

from hypereal.gateway.media.live import BrokenOff, Listener, Live
from hypereal.kit.ids import JobId

JOB = JobId("job_1")


def heard_of(*pieces: bytes, is_whole: bool = True) -> Listener:
    listener = Listener()
    put = listener.begin("audio/mpeg", "openai")
    assert put is not None
    for piece in pieces:
        put(piece)
    listener.end(is_whole=is_whole)
    return listener


async def test_pieces_are_heard_in_order_up_to_the_end():
    listener = heard_of(b"a", b"b", b"c")
    assert [piece async for piece in listener.pieces()] == [b"a", b"b", b"c"]
    assert (listener.content_type, listener.provider, listener.is_broken) == ("audio/mpeg", "openai", False)


async def test_what_breaks_off_is_heard_so_far_and_then_raises():
    listener = heard_of(b"a", is_whole=False)
    heard = listener.pieces()
    assert await anext(heard) == b"a"
    with pytest.raises(BrokenOff):
        await anext(heard)
    assert listener.is_broken


def test_an_attempt_that_told_nothing_leaves_room_for_another():
    listener = Listener()
    assert listener.begin("audio/mpeg", "fish") is not None
    listener.end(is_whole=False)
    assert not listener.is_broken
    assert listener.begin("audio/wav", "openai") is not None
    assert listener.provider == "openai"


def test_nobody_goes_on_with_what_another_began():
    assert heard_of(b"a", is_whole=False).begin("audio/mpeg", "fish") is None


def test_a_listener_is_known_as_long_as_its_request_holds_it():
    live, listener = Live(), Listener()
    live.join(JOB, listener)
    assert live.to(JOB) is listener
    del listener
    assert live.to(JOB) is None
