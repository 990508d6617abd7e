import gzip
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.clients import splits
from tests.support.upstreams import HEAD, OUT_HEAD, Line

from hypereal.net import LAST_CHUNK, chunk, dechunk, turn
from hypereal.net.upstream import (
    COLLECT_BYTES_MAX,
    FIRST_BYTES,
    HELD_BYTES_MAX,
    LAST_BYTES,
    TAIL_BYTES_MAX,
    TAIL_READS_MIN,
)

OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [b'data: {"n":%d}\n\n' % n for n in range(5)] + [b"data: [DONE]\n\n"]


def counted(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), lines, body)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(map(chunk, pieces)) + LAST_CHUNK


# -- collected answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        counted(b'{"a": 1}'),
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b'{"a"', b": 1}"),
        OK + b'Transfer-Encoding: chunked\r\n\r\n3;x="y z"\r\n{"a\r\n5\r\n": 1}\r\n0\r\nTrailer: x\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + counted(b'{"a": 1}'),
        counted(gzip.compress(b'{"a": 1}', mtime=0), b"Content-Encoding: gzip"),
        counted(zlib.compress(b'{"a": 1}'), b"Content-Encoding: deflate"),
        counted(b'{"a": 1}', b"Content-Encoding: identity"),
    ],
)
def test_answer_is_collected_whole_from_any_two_reads_and_its_connection_used_again(answer):
    for reads in [(answer,), *splits(answer)]:
        line = Line().answer(*reads)
        assert line.caller.wakes == 1
        assert line.upstream.is_done
        assert line.upstream.whole() == b'{"a": 1}'
        line.upstream.give_back()
        assert line.pool.idle == [line.upstream]
        assert not line.transport.ended


def test_answer_may_be_delimited_by_the_close():
    for answer in (OK + b"\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"):
        line = Line().answer(answer + b"ab", b"cd")
        assert line.caller.wakes == 0
        line.transport.lose()
        assert line.upstream.whole() == b"abcd"
        assert line.caller.wakes == 1
        line.upstream.give_back()
        assert line.pool.idle == []


def test_answer_delimited_by_the_close_that_was_cut_is_lost():
    line = Line().answer(OK + b"\r\nab")
    line.transport.lose(ConnectionResetError())
    assert line.caller.failure is not None
    assert not line.upstream.is_done


@pytest.mark.parametrize("answer", [counted(b"abc")[:-1], OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", OK])
def test_answer_that_ends_too_early_is_lost(answer):
    line = Line().answer(answer)
    line.transport.lose()
    assert line.caller.failure is not None
    assert not line.caller.failure.is_stale
    assert line.caller.wakes == 0


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answer_without_a_body_is_whole_at_its_head(status):
    line = Line().answer(b"HTTP/1.1 %s\r\nContent-Length: 9\r\n\r\n" % status)
    assert line.upstream.is_done
    assert line.upstream.whole() == b""
    line.upstream.give_back()
    assert line.pool.idle == [line.upstream]


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: 5, 5\r\n\r\n",
        OK + b"Content-Length: +5\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked \r\n\r\n",
        OK + b"Bad field\r\n\r\n",
        OK + b"A: b\r\n c\r\n\r\n",
        OK + b"A: " + b"x" * 70_000 + b"\r\n\r\n",
        OK + b"A: " + b"x" * 70_000,
        OK + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
        counted(b"xxxx", b"Content-Encoding: gzip"),
        counted(b"xxxx", b"Content-Encoding: br"),
    ],
)
def test_answer_that_breaks_the_grammar_is_lost_and_the_connection_cut(answer):
    line = Line().answer(answer)
    assert line.caller.failure is not None
    assert line.caller.wakes == 0
    assert line.transport.ended == "abort"
    line.transport.lose()
    line.upstream.give_back()
    assert line.pool.idle == []


def test_transfer_encoding_beats_a_length_and_spoils_the_connection():
    line = Line().answer(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello"))
    assert line.upstream.whole() == b"hello"
    line.upstream.give_back()
    assert line.transport.ended == "close"
    assert line.pool.idle == []


def test_equal_lengths_are_one():
    assert Line().answer(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab").upstream.whole() == b"ab"


def test_answer_that_is_too_large_is_lost():
    line = Line().answer(OK + b"\r\n")
    for _ in range(COLLECT_BYTES_MAX // (1 << 24)):
        line.answer(bytes(1 << 24))
    assert line.caller.failure is None
    line.answer(b"x")
    assert line.caller.failure is not None


def test_compressed_answer_that_grows_without_bound_is_lost():
    bomb = gzip.compress(bytes(COLLECT_BYTES_MAX + 1), 1)
    assert len(bomb) < 1 << 20
    for reads in (
        (counted(bomb, b"Content-Encoding: gzip"),),
        (SSE.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), chunk(bomb)),
    ):
        line = Line().answer(*reads)
        assert line.caller.failure is not None


# -- what comes after the end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [counted(b"ab"), OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"ab"), b"HTTP/1.1 204 No Content\r\n\r\n"],
)
def test_bytes_after_the_end_of_an_answer_are_nobodys(answer):
    same_read = Line().answer(answer + b"HTTP/1.1 200 OK\r\n\r\n")
    later_read = Line().answer(answer, b"HTTP/1.1 200 OK\r\n\r\n")
    for line in (same_read, later_read):
        assert line.upstream.whole() in (b"ab", b"")
        line.upstream.give_back()
        assert line.pool.idle == [] or line.transport.ended


@pytest.mark.parametrize("streams", [False, True])
def test_bytes_after_the_end_of_a_stream_are_not_relayed(streams):
    answer = SSE + chunked(*EVENTS)
    for reads in [*splits(answer + b"HTTP/1.1 200 OK\r\n\r\n")]:
        line = Line(relays=not streams, streams=streams)
        if streams:
            line.caller.on_wake = lambda line=line: (
                line.upstream.is_done or line.upstream.relay_bytes(line.out, OUT_HEAD)
            )
        line.answer(*reads)
        assert b"HTTP/1.1" not in line.out.written
        assert line.upstream.is_done
        line.upstream.give_back()
        assert line.transport.ended
        assert line.pool.idle == []


def test_bytes_on_an_idle_connection_end_it():
    line = Line().answer(counted(b"ab"))
    line.upstream.give_back()
    line.answer(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert line.transport.ended == "abort"


def test_answer_is_the_calls_own_until_it_is_given_back():
    line = Line().answer(counted(b"mine"))
    assert line.pool.idle == []
    assert line.upstream.whole() == b"mine"
    line.upstream.give_back()
    assert line.upstream.whole() == b""


def test_connection_that_dies_before_a_byte_is_stale_only_when_it_was_used_before():
    fresh = Line()
    fresh.transport.lose()
    used = Line().answer(counted(b"ab"))
    used.upstream.give_back()
    used.send()
    used.transport.lose(ConnectionResetError())
    spoke = Line().answer(counted(b"ab"))
    spoke.upstream.give_back()
    spoke.send()
    spoke.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    spoke.transport.lose()
    stale = [line.caller.failure.is_stale for line in (fresh, used, spoke) if line.caller.failure]
    assert stale == [False, True, False]


# -- giving back -------------------------------------------------------------------------------------------------------


def test_connection_given_back_in_each_state():
    unanswered = Line()
    half = Line().answer(counted(b"ab")[:-1])
    streaming = Line(relays=True).answer(SSE + chunk(EVENTS[0]))
    closing = Line().answer(counted(b"ab", b"Connection: close"))
    early = Line().answer(counted(b"", status=b"413 Content Too Large"))
    early.transport.backlog_bytes = 1
    whole = Line().answer(counted(b"ab"))
    outcome = []
    for line in (unanswered, half, streaming, closing, early, whole):
        line.upstream.give_back()
        outcome.append(line.transport.ended)
    assert outcome == ["abort", "abort", "abort", "close", "abort", ""]
    assert whole.pool.idle == [whole.upstream]


def test_connection_that_is_lost_after_its_answer_is_just_forgotten():
    line = Line().answer(counted(b"ab"))
    line.transport.lose()
    line.upstream.give_back()
    assert line.pool.idle == []
    assert line.pool.lost == [line.upstream]
    assert line.caller.failure is None


def test_given_back_while_the_client_is_slow_it_reads_again_for_the_next_call():
    line = Line(relays=True).answer(SSE + chunk(EVENTS[0]))
    line.upstream.pause()
    line.answer(chunk(EVENTS[-1]) + LAST_CHUNK)
    assert line.transport.is_reading
    line.upstream.pause()
    line.upstream.give_back()
    assert line.transport.is_reading
    assert line.pool.idle == [line.upstream]


def test_call_that_sends_again_inside_its_wake_gets_both_answers():
    line = Line()
    bodies = []

    def wake() -> None:
        bodies.append(line.upstream.whole())
        line.upstream.give_back()
        if len(bodies) == 1:
            line.send()

    line.caller.on_wake = wake
    line.answer(counted(b"first"), counted(b"second"))
    assert bodies == [b"first", b"second"]


# -- streams of events -------------------------------------------------------------------------------------------------

PAYLOADS = [
    b"".join(EVENTS),
    b"".join(EVENTS).replace(b"\n", b"\r\n"),
    b": ping\n\n" + b"event: x\ndata: 1\n\n" * 3,
]
FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "an event a chunk": lambda p: SSE + chunked(*[e + b"\n\n" for e in p.split(b"\n\n")[:-1]] or [p]),
    "one chunk": lambda p: SSE + chunked(p),
    "7 bytes a chunk": lambda p: SSE + chunked(*[p[i : i + 7] for i in range(0, len(p), 7)]),
    "a byte a chunk": lambda p: SSE + chunked(*[p[i : i + 1] for i in range(len(p))]),
    "counted": lambda p: OK + b"Content-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(p), p),
    "compressed": lambda p: SSE.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + chunked(gzip.compress(p)),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_stream_split_at_every_byte_gives_the_same_payload_in_whole_events(payload, framing):
    answer = FRAMINGS[framing](payload)
    for reads in [(answer,), *splits(answer), tuple(answer[i : i + 1] for i in range(len(answer)))]:
        line = Line(relays=True).answer(*reads)
        assert line.upstream.is_done
        assert line.caller.wakes in (1, 2)  # once where nothing was whole before the end
        assert line.relayed == payload
        assert line.upstream.events() == payload
        assert line.upstream.first == payload
        line.upstream.give_back()
        assert line.pool.idle == [line.upstream]


def test_stream_delimited_by_the_close_is_relayed_in_chunks():
    line = Line(relays=True).answer(OK + b"Content-Type: text/event-stream; charset=utf-8\r\n\r\n", PAYLOADS[0])
    line.transport.lose()
    assert line.relayed == PAYLOADS[0]
    assert line.upstream.is_done


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_read_of_whole_events_in_whole_chunks_passes_as_it_came(newline):
    events = [event.replace(b"\n", newline) for event in EVENTS]
    reads = [b"".join(map(chunk, events[:3])), chunk(events[3]), chunk(events[4]) + b"00e;x=y\r\n" + events[5][:14]]
    line = Line(relays=True).answer(SSE, *reads[:2])
    assert line.out.writes == [OUT_HEAD + reads[0], reads[1]]


@pytest.mark.parametrize(
    "read",
    [b"7\r\ndata: x\r\n1\r\n\n\r\n", b"7\r\ndata: x\r\n2\r\n\r\n\r\n", b'8;a=b\r\ndata: {}\r\n2;a="}"\r\n\r\n\r\n'],
)
def test_blank_line_of_the_framing_is_not_taken_for_one_of_the_stream(read):
    line = Line(relays=True).answer(SSE, read)
    assert line.out.writes == []


def test_last_chunk_inside_the_payload_is_not_the_end():
    tricky = b"data: {}\n\n\r\n0\r\n"
    line = Line(relays=True).answer(SSE, chunk(tricky))
    assert not line.upstream.is_done
    line.answer(chunk(b"\r\n\r\n") + LAST_CHUNK)
    assert line.upstream.events() == tricky + b"\r\n\r\n"


def test_last_event_without_its_blank_line_is_given_one():
    assert Line(relays=True).answer(SSE + chunked(b"data: 1\n\ndata: 2\n")).relayed == b"data: 1\n\ndata: 2\n\n\n"


def test_stream_that_is_only_an_unended_event_wakes_its_call_once():
    line = Line().answer(SSE + chunked(b"data: 1"))
    assert line.caller.wakes == 1
    assert line.upstream.events() == b"data: 1\n\n"


def test_second_stream_in_the_same_read_is_nobodys():
    whole = chunked(*EVENTS)
    line = Line(relays=True).answer(SSE, whole + whole)
    assert line.relayed == b"".join(EVENTS)
    line.upstream.give_back()
    assert line.transport.ended == "close"


def test_cut_stream_is_lost_after_what_came_was_relayed():
    line = Line(relays=True).answer(SSE + chunk(EVENTS[0]), chunk(EVENTS[1])[:9])
    line.transport.lose()
    assert line.caller.failure is not None
    assert line.relayed == EVENTS[0]


def test_event_that_never_ends_is_lost():
    line = Line(relays=True).answer(SSE)
    piece = chunk(b"x" * (1 << 20))
    for _ in range(16):
        line.answer(piece)
    assert line.caller.failure is None
    line.answer(piece)
    assert line.caller.failure is not None


def test_stream_is_held_until_it_is_relayed_and_no_more_than_a_bounded_part():
    line = Line().answer(SSE)
    event = b'data: {"%s"}\n\n' % (b"x" * 100_000)
    for _ in range(HELD_BYTES_MAX // 100_000 + 1):
        line.answer(chunk(event))
    assert line.caller.wakes == 1
    assert not line.transport.is_reading
    line.upstream.relay(line.out, OUT_HEAD)
    assert line.transport.is_reading
    assert line.relayed == event * (HELD_BYTES_MAX // 100_000 + 1)


def test_gathered_stream_is_whole_and_wakes_its_call_at_the_end():
    line = Line().answer(SSE + chunk(EVENTS[0]))
    line.upstream.gather()
    event = b'data: {"%s"}\n\n' % (b"x" * 500_000)
    for _ in range(5):
        line.answer(chunk(event))
    assert line.transport.is_reading
    assert line.caller.wakes == 1
    line.answer(LAST_CHUNK)
    assert line.caller.wakes == 2
    assert line.upstream.events() == EVENTS[0] + event * 5


def test_gathered_stream_that_is_too_large_is_lost_even_when_the_excess_comes_at_its_end():
    line = Line().answer(SSE + chunk(EVENTS[0]))
    line.upstream.gather()
    event = b'data: {"%s"}\n\n' % (b"x" * (1 << 23))
    for _ in range(7):
        line.answer(chunk(event))
    line.answer(chunk(b"data: " + b"x" * (1 << 23) + b"\n"))
    assert line.caller.failure is None
    line.answer(LAST_CHUNK)
    assert line.caller.failure is not None
    assert line.caller.wakes == 1


def test_relay_after_the_end_writes_everything():
    line = Line().answer(SSE + chunked(*EVENTS))
    assert line.caller.wakes == 1
    line.upstream.relay(line.out, OUT_HEAD)
    assert line.relayed == b"".join(EVENTS)
    assert line.upstream.is_done


def test_relay_keeps_a_pause_that_its_own_write_caused():
    line = Line()
    line.out.on_write = line.upstream.pause
    line.answer(SSE + chunk(EVENTS[0]))
    line.upstream.relay(line.out, OUT_HEAD)
    assert not line.transport.is_reading
    line.upstream.resume()
    assert line.transport.is_reading


def test_tail_is_bounded_and_first_is_kept():
    line = Line(relays=True).answer(SSE)
    events = [b'data: {"%d": "%s"}\n\n' % (n, b"x" * 1000) for n in range(300)]
    for event in events:
        line.answer(chunk(event))
    tail = line.upstream.events()
    assert b"".join(events).endswith(tail)
    assert TAIL_BYTES_MAX // 2 < len(tail) < TAIL_BYTES_MAX * 2
    assert b"".join(events).startswith(line.upstream.first)
    assert line.upstream.first == events[0]
    assert line.upstream.relayed_bytes == sum(map(len, map(chunk, events)))


def test_tail_keeps_a_few_reads_however_long():
    line = Line(relays=True).answer(SSE)
    for n in range(5):
        line.answer(chunk(b'data: {"%d%s"}\n\n' % (n, b"x" * TAIL_BYTES_MAX)))
    assert len(line.upstream.tail) == TAIL_READS_MIN


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_first_ends_on_a_whole_event(newline):
    event = (b'data: {"%s"}\n\n' % (b"x" * (FIRST_BYTES // 4))).replace(b"\n", newline)
    line = Line(relays=True).answer(SSE + chunk(event) * 50)
    assert line.upstream.first == event * 4


def test_call_may_give_up_at_the_first_event():
    line = Line()
    line.caller.on_wake = line.upstream.give_back
    line.answer(SSE + chunk(EVENTS[0]))
    line.answer(chunked(*EVENTS[1:]))
    assert line.caller.wakes == 1
    assert line.transport.ended == "abort"
    assert line.pool.idle == []


LONG_READ = [b'data: {"%d%s"}\n\n' % (n, b"x" * 200) for n in range(50)]


@pytest.mark.parametrize("is_busy", [False, True])
def test_first_events_of_a_long_read_do_not_wait_for_the_rest_where_little_goes_on(is_busy, monkeypatch):
    line = Line(relays=True)
    monkeypatch.setattr(turn, "is_busy", is_busy)
    line.answer(SSE + chunked(*LONG_READ))
    assert line.out.writes[0] == OUT_HEAD + b"".join(map(chunk, LONG_READ[: 50 if is_busy else 2]))
    assert line.relayed == b"".join(LONG_READ)
    assert line.upstream.is_done
    line.upstream.give_back()
    assert line.pool.idle == [line.upstream]


def test_rest_of_a_long_read_that_is_broken_cuts_the_stream_after_its_first_events():
    line = Line(relays=True).answer(SSE + b"".join(map(chunk, LONG_READ[:-1])) + b"+5\r\nhello\r\n")
    assert line.relayed == b"".join(LONG_READ[:2])
    assert line.caller.failure is not None
    assert line.transport.ended == "abort"


def test_call_may_give_up_at_the_first_events_of_a_long_read():
    line = Line()
    line.caller.on_wake = line.upstream.give_back
    line.answer(SSE + chunked(*LONG_READ))
    assert line.caller.wakes == 1
    assert line.transport.ended == "abort"
    assert line.pool.idle == []


def test_end_that_comes_at_once_wakes_the_call_with_all_of_it():
    line = Line()
    seen = []
    line.caller.on_wake = lambda: seen.append((line.upstream.is_done, line.upstream.events()))
    line.answer(SSE + chunked(*EVENTS))
    assert seen == [(True, b"".join(EVENTS))]


def test_lost_by_its_call_it_is_cut_and_told():
    line = Line()
    line.upstream.lose("no byte for 60 s")
    assert line.transport.ended == "abort"
    assert line.caller.failure is not None
    assert line.caller.failure.why == "no byte for 60 s"


def test_silence_ends_with_a_byte():
    line = Line()
    line.upstream.silent_s = 50
    line.answer(b"H")
    assert line.upstream.silent_s == 0


# -- streams in reads as they come live --------------------------------------------------------------------------------

LONG_EVENTS = st.sampled_from(
    [
        b'data: {"n":1}\n\n',
        b'data: {"said":"%s"}\n\n' % (b"x" * 300),
        b'data: {"said":"0\\r\\n"}\r\n\r\n',
        b"data: [1]\n\n",
        b": ping\n\n",
        b"event: x\ndata: {}\n\n\r\n{}\n\n",
        b'data: {"finish":1}\n\n',
        b"data: {%s}\n\n" % (b"y" * 4075),
        b"data: {%s}\n\n" % (b"y" * 4100),
    ]
)
SIZE_LINES = st.sampled_from([b"%x", b"%x", b"%x", b"%X", b"0%x", b"%x;a=b"])
CUTS = st.lists(st.integers(0, 4200), max_size=3)


@st.composite
def reads_of_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A payload, and the reads that it comes in: mostly an event a chunk and a chunk a read."""
    payload, reads = b"", [SSE]
    kinds = st.tuples(
        LONG_EVENTS, SIZE_LINES, CUTS | st.just([]) | st.just([]), st.booleans(), st.sampled_from([0, 0, 6])
    )
    for event, line, cuts, is_apart, inside in draw(st.lists(kinds, max_size=40)):
        pieces = [event[:inside], event[inside:]] if 0 < inside < len(event) else [event]
        framed = b"".join([b"%s\r\n%s\r\n" % (line % len(piece), piece) for piece in pieces])
        edges = sorted({0, len(framed), *(cut % len(framed) for cut in cuts)})
        if len(pieces) > 1:
            edges = sorted({*edges, framed.index(b"\r\n", 4) + 2})
        reads += [framed[start:stop] for start, stop in pairwise(edges)]
        if not is_apart:
            reads[-2:] = [b"".join(reads[-2:])]
        payload += event
    return payload, [*reads, LAST_CHUNK]


@settings(max_examples=300, deadline=None)
@given(reads_of_streams())
def test_long_stream_passes_whole_in_whatever_reads_it_comes(stream):
    payload, reads = stream
    line = Line(relays=True).answer(*reads)
    upstream = line.upstream
    assert line.relayed == payload
    assert upstream.is_done
    assert payload.endswith(upstream.events())
    assert payload.endswith(upstream.last_events())
    assert upstream.tail_bytes == sum(map(len, upstream.tail)) < TAIL_BYTES_MAX * 2
    assert len(payload) <= upstream.relayed_bytes
    upstream.give_back()
    assert line.pool.idle == [upstream]


@settings(max_examples=300, deadline=None)
@given(reads_of_streams())
def test_rewriter_sees_what_it_asks_for_in_whatever_reads_it_comes(stream):
    payload, reads = stream
    line = Line(relays=True, rewriter=HoldsFinish()).answer(*reads)
    at = payload.find(b'data: {"finish"')
    expected = payload if at < 0 else payload[:at] + b"[" + payload[at:] + b"]\n\n"
    assert dechunk(line.out.written.removeprefix(OUT_HEAD)) == expected


NASTY = [
    b"\r",
    b"\n",
    b"\r\n",
    b"0\r\n\r\n",
    b"}\n\n\r\n",
    b"\n\n",
    b"f",
    b"0",
    b"d\r\n",
    b"}",
    b";",
    b"X",
    b"HTTP/1.1 200 OK\r\n\r\n",
]


@settings(max_examples=500, deadline=None)
@example(
    (
        b"",
        [
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            b'f\r\ndata: {"n":1}\n\n\r\n',
            b'14\r\nata: {"finish":1}\n\n\n\r\n',
            b"0\r\n\n\r\n",
        ],
    ),
    [],
)
@given(
    reads_of_streams(),
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 600), st.integers(0, 4), st.sampled_from(NASTY)), max_size=3),
)
def test_stream_that_breaks_the_framing_is_read_as_byte_by_byte(stream, spoils):
    """Then nothing passes at once."""
    _, reads = stream
    for index, at, cut, put in spoils:
        read = reads[max(1, index % len(reads))]
        at %= len(read) + 1
        reads[max(1, index % len(reads))] = read[:at] + put + read[at + cut :]
    line = Line(relays=True).answer(*reads)
    slow = Line(relays=True).answer(*[bytes([byte]) for byte in b"".join(reads)])
    ended, ended_slowly = [(one.upstream.is_done, one.caller.failure is not None) for one in (line, slow)]
    assert ended == ended_slowly
    relayed, relayed_slowly = [dechunk(one.out.written.removeprefix(OUT_HEAD)) for one in (line, slow)]
    if line.upstream.is_done:
        assert relayed == relayed_slowly
    else:  # of what is not over, the one may have passed on an empty line that the other still holds
        assert relayed_slowly.startswith(relayed) or relayed.startswith(relayed_slowly)


# -- rewriters ---------------------------------------------------------------------------------------------------------


class HoldsFinish:
    """Holds back from the event with `finish` on and puts what it holds, in brackets, at the end."""

    def __init__(self) -> None:
        self.is_active = False
        self.seen: list[bytes] = []
        self._held = b""

    def wants(self, data: bytes) -> bool:
        return b"finish" in data

    def starts_at(self, data: bytes) -> int:
        return data.find(b"finish")

    def feed(self, events: bytes) -> bytes:
        self.seen.append(events)
        at = 0 if self.is_active else events.find(b'data: {"finish"')
        self.is_active = True
        self._held += events[at:]
        return events[:at]

    def end(self) -> bytes:
        return b"[" + self._held + b"]\n\n" if self._held else b""


ENDING = [b'data: {"a":1}\n\n', b'data: {"finish":1}\n\n', b'data: {"usage":1}\n\n']
REWRITTEN = ENDING[0] + b"[" + ENDING[1] + ENDING[2] + b"]\n\n"


def rewritten(line: Line) -> bytes:
    """The payload that reached the client, in whole chunks without a last one."""
    written = line.out.written.removeprefix(OUT_HEAD)
    assert LAST_CHUNK not in written
    return dechunk(written)


def test_rewriter_sees_only_what_it_asked_for_and_changes_the_end_in_any_split():
    answer = SSE + chunked(*ENDING)
    for reads in [(answer,), *splits(answer)]:
        rewriter = HoldsFinish()
        line = Line(relays=True, rewriter=rewriter).answer(*reads)
        assert rewritten(line) == REWRITTEN
        assert line.upstream.events() == b"".join(ENDING)


def test_rewriter_sees_little_more_than_the_end_of_a_burst_and_what_comes_before_it_is_found():
    """Vendors send usage before the finish chunk too."""
    events = [b'data: {"%s"}\n\n' % (b"x" * 200) for _ in range(100)] + [b'data: {"usage": 1}\n\n', *ENDING]
    rewriter = HoldsFinish()
    line = Line(rewriter=rewriter).answer(SSE + chunked(*events))
    line.upstream.relay(line.out, OUT_HEAD, rewriter)
    assert len(b"".join(rewriter.seen)) < 2 * LAST_BYTES
    assert b'{"usage": 1}' in line.upstream.last_events()


def test_rewriter_sees_the_end_alone_of_a_late_read_and_the_rest_passes_as_it_came():
    events = [b'data: {"%d%s"}\n\n' % (n, b"x" * 200) for n in range(100)]
    rewriter = HoldsFinish()
    line = Line(relays=True, rewriter=rewriter).answer(SSE + chunk(events[0]), chunked(*events[1:], *ENDING))
    assert b"".join(rewriter.seen) == b"".join(ENDING[1:])
    before = OUT_HEAD + b"".join(map(chunk, events)) + chunk(ENDING[0])
    assert line.out.written.startswith(before)
    assert rewritten(line) == b"".join(events) + REWRITTEN


def test_what_looks_like_the_end_of_a_chunk_inside_a_held_one_is_not_taken_for_it(monkeypatch):
    monkeypatch.setattr(turn, "is_busy", True)
    odd = b'data: {"x":1}\n\n\r\n5\r\n' + b"x" * LAST_BYTES + b"\n\n" + b"".join(ENDING)
    line = Line(relays=True, rewriter=HoldsFinish()).answer(SSE + chunked(EVENTS[0], odd))
    assert line.caller.failure is None
    assert rewritten(line) == EVENTS[0] + odd[: -len(b"".join(ENDING))] + REWRITTEN


def test_what_looks_like_the_end_of_a_chunk_inside_a_late_one_is_not_taken_for_it():
    odd = b'data: {"x":1}\n\n\r\n5\r\n' + b"".join(ENDING)
    line = Line(relays=True, rewriter=HoldsFinish()).answer(SSE + chunk(EVENTS[0]), chunk(EVENTS[1]) + chunked(odd))
    assert line.caller.failure is None
    assert rewritten(line) == EVENTS[0] + EVENTS[1] + odd[: -len(b"".join(ENDING))] + REWRITTEN


@pytest.mark.parametrize("pieces", [ENDING, [b"".join(ENDING)]])
def test_rewriter_of_a_stream_that_is_already_over_changes_its_end_too(pieces):
    line = Line().answer(SSE + chunked(*pieces))
    line.upstream.relay(line.out, OUT_HEAD, HoldsFinish())
    assert rewritten(line) == REWRITTEN
    assert line.upstream.events() == b"".join(ENDING)


def test_rewriter_that_asks_for_nothing_leaves_the_bytes_as_they_came():
    line = Line(relays=True, rewriter=HoldsFinish()).answer(SSE, chunk(EVENTS[0]) + chunk(EVENTS[1]))
    assert line.out.writes[-1] == OUT_HEAD + chunk(EVENTS[0]) + chunk(EVENTS[1])


def test_rewriter_that_holds_the_unended_last_event_back_writes_no_last_chunk():
    line = Line(relays=True, rewriter=HoldsFinish()).answer(SSE + chunk(ENDING[0]), chunked(ENDING[1][:-2]))
    assert line.out.written == OUT_HEAD + chunk(ENDING[0]) + chunk(b"[" + ENDING[1] + b"]\n\n")


# -- the last events ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_last_events_begin_with_a_whole_one_and_cost_little_of_a_long_read(newline):
    events = [(b'data: {"%03d%s"}\n\n' % (n, b"x" * 200)).replace(b"\n", newline) for n in range(100)]
    one_read = Line(relays=True).answer(SSE, b"".join(map(chunk, events)))
    many_reads = Line(relays=True).answer(SSE, *map(chunk, events))
    for line in (one_read, many_reads):
        last = line.upstream.last_events()
        assert b"".join(events).endswith(last)
        assert last.startswith(b"data: ")
        assert LAST_BYTES <= len(last) < LAST_BYTES * 2


def test_last_events_of_a_stream_with_blank_lines_inside_its_chunks():
    events = (b'data: {"%s"}\n\n\r\n' % (b"x" * 500)) * 20 + b"data: [DONE]\n\n"
    line = Line(relays=True).answer(SSE, chunk(events))
    assert events.endswith(line.upstream.last_events())
    held = Line().answer(SSE, chunk(events + ENDING[1]))
    held.upstream.relay(held.out, OUT_HEAD, HoldsFinish())
    assert rewritten(held) == events


# -- relayed as bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (counted(b"hello"), b"hello"),
        (counted(b""), b""),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nT: x\r\n\r\n",
            b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nT: x\r\n\r\n",
        ),
        (counted(gzip.compress(b"hello", mtime=0), b"Content-Encoding: gzip"), gzip.compress(b"hello", mtime=0)),
    ],
)
def test_answer_is_relayed_as_bytes_with_its_own_framing(answer, body):
    for reads in [(answer,), *splits(answer)]:
        line = Line(streams=True)
        line.caller.on_wake = lambda line=line: line.caller.wakes == 1 and line.upstream.relay_bytes(line.out, OUT_HEAD)
        line.answer(*reads)
        assert line.out.written == OUT_HEAD + body
        assert line.upstream.is_done
        assert line.caller.wakes == 2
        line.upstream.give_back()
        assert line.pool.idle == [line.upstream]


@pytest.mark.parametrize("is_late", [False, True])
def test_answer_delimited_by_the_close_is_relayed_in_chunks_with_the_last_one(is_late):
    line = Line(streams=True).answer(OK + b"\r\nab")
    if not is_late:
        line.upstream.relay_bytes(line.out, OUT_HEAD)
    line.transport.lose()
    if is_late:
        line.upstream.relay_bytes(line.out, OUT_HEAD)
    assert line.out.written == OUT_HEAD + chunk(b"ab") + LAST_CHUNK


def test_relay_of_bytes_is_bounded_until_it_begins():
    line = Line(streams=True).answer(counted(bytes(HELD_BYTES_MAX + 2))[:-1])
    assert not line.transport.is_reading
    line.upstream.relay_bytes(line.out, b"")
    assert line.transport.is_reading
    assert len(line.out.written) == HELD_BYTES_MAX + 1


def test_slow_upstream_holds_the_source_of_its_body_back():
    class Source:
        told: list[str] = []  # noqa: RUF012

        def pause_body(self) -> None:
            self.told.append("pause")

        def resume_body(self) -> None:
            self.told.append("resume")

    line = Line(streams=True)
    line.upstream.pause_writing()
    line.upstream.source = Source()
    line.upstream.pause_writing()
    line.upstream.resume_writing()
    assert Source.told == ["pause", "resume"]


def test_long_request_is_written_with_its_head():
    line = Line()
    line.upstream.send(line.caller, HEAD, b"x" * 100_000)
    assert line.transport.written.endswith(HEAD + b"x" * 100_000)


def test_answer_to_a_head_request_has_no_body_whatever_it_says():
    for answer, outcome in ((counted(b"")[:-23] + b"Content-Length: 500\r\n\r\n", ""), (counted(b"oops"), "close")):
        line = Line()
        line.upstream.send(line.caller, HEAD, b"", streams=True, is_head_request=True)
        line.answer(answer)
        assert line.upstream.is_done
        line.upstream.relay_bytes(line.out, OUT_HEAD)
        assert line.out.written == OUT_HEAD
        line.upstream.give_back()
        assert line.transport.ended == outcome


def test_silence_that_is_too_long_is_told_as_such():
    line = Line()
    line.upstream.lose("silent", is_timeout=True)
    assert line.caller.failure is not None
    assert line.caller.failure.is_timeout


# -- what a head does not tell -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [b"text/plain", b"application/json", b"application/octet-stream"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_events_under_another_name_are_a_stream_from_any_two_reads(content_type, framing):
    body = b"".join(EVENTS)
    answer = OK + b"Content-Type: %s\r\n" % content_type
    if framing == "chunks":
        answer += b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*EVENTS)
    else:
        answer += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    for reads in splits(answer):
        line = Line(relays=True).answer(*reads)
        assert line.upstream.is_stream
        assert line.upstream.is_done
        assert line.relayed == body


@pytest.mark.parametrize("body", [b'{"data": 1}', b" {}", b"dat", b"eve", b'"data:"', b""])
def test_what_does_not_begin_as_events_do_is_collected(body):
    for reads in splits(counted(body)):
        line = Line().answer(*reads)
        assert not line.upstream.is_stream
        assert line.upstream.whole() == body


def test_answers_of_one_connection_are_bounded_each_for_itself(monkeypatch):
    monkeypatch.setattr("hypereal.net.upstream.COLLECT_BYTES_MAX", 20)
    line = Line()
    for _ in range(5):
        line.answer(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b'{"a":', b"12345678}"))
        assert line.upstream.is_done
        line.upstream.give_back()
        line.send()


def test_a_call_that_looks_first_is_told_whether_more_came_behind_a_long_announcement():
    long, short = b'data: {"announces":"%s"}\n\n' % (b"x" * FIRST_BYTES), b'data: {"content":1}\n\n'
    line = Line().answer(SSE + chunk(long) + chunk(short))
    assert line.upstream.newest() == line.upstream.first == long
    assert line.upstream.has_more_than_first
    assert line.upstream.events() == long + short
    line.upstream.hold()
    line.answer(chunk(short))
    assert line.upstream.newest() == short
    assert not line.upstream.has_more_than_first
