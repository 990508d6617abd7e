"""The grammar by tables, and against llhttp: what ours accepts, llhttp accepts, and reads the same.

Ours is stricter in many ways. It is more lenient in three, each harmless: it takes any method of 1 to 16 capitals (the
app refuses what it does not know); of an upstream it takes a chunked answer that has a length too, and two equal
lengths (RFC 9112 6.3 lets a client do both; the first spoils the connection for further use).
"""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clients import Client, Exchange, post, post_chunked, read_then_answer
from tests.support.oracle import answer_in, requests_in
from tests.support.upstreams import Line

from hypereal.net import Malformed, Upstream, chunk, dechunk, query_values
from hypereal.net.http1 import (
    ChunkWalker,
    parse_answer,
    parse_request,
    size_line_value,
)

# -- requests ----------------------------------------------------------------------------------------------------------

REFUSED_HEADS = {
    b"get / HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET  / HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET / HTTP/1.1 \r\nHost: a\r\n": 400,
    b"GET\t/ HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET x HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n": 400,
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET * HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET /\x00 HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET /\x80 HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET /\r HTTP/1.1\r\nHost: a\r\n": 400,
    b"GET / HTTP/2.0\r\nHost: a\r\n": 505,
    b"GET / HTTP/1.2\r\nHost: a\r\n": 400,
    b"GET /\r\nHost: a\r\n": 400,
    b"GET /" + b"x" * 8193 + b" HTTP/1.1\r\nHost: a\r\n": 431,
    b"GET / HTTP/1.1\nHost: a\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n": 400,
    b"GET / HTTP/1.1\r\nX: y\nTransfer-Encoding: chunked\r\nHost: a\r\n": 400,
    b"GET / HTTP/1.1\r\nX: y\rTransfer-Encoding: chunked\r\nHost: a\r\n": 400,
    b"GET / HTTP/1.1\r\nHost : a\r\n": 400,
    b"GET / HTTP/1.1\r\n Host: a\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nX\x80: y\r\n": 400,
    b"GET / HTTP/1.1\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n": 400,
    b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n": 501,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n": 501,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n": 501,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n": 501,
    b"GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n": 501,
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n": 417,
}


@pytest.mark.parametrize("head", REFUSED_HEADS)
def test_ambiguous_head_is_refused(head):
    with pytest.raises(Malformed) as refused:
        parse_request(head)
    assert refused.value.status == REFUSED_HEADS[head]


def test_head_is_read():
    head, length = parse_request(
        b"POST /a?b=c%20d&b=e&k HTTP/1.1\r\nhOST: x\r\nContent-Length:  42\t\r\nX-A:\r\nX-B: \t one \xff two \r\n"
        b"x-a: 2\r\n"
        b"Expect: 100-Continue \r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    )
    assert (head.method, head.path, head.query, length) == (b"POST", b"/a", b"b=c%20d&b=e&k", b"42")
    assert head.fields[:4] == [(b"hOST", b"x"), (b"X-A", b""), (b"X-B", b"one \xff two"), (b"x-a", b"2")]
    assert (head.get(b"host"), head.get(b"x-a"), head.get(b"none")) == (b"x", b"", b"")
    assert head.expects_continue
    assert head.keep_alive
    assert head.upgrade == b"websocket"
    assert list(query_values(head.query, b"b")) == [b"c%20d", b"e"]


def test_options_may_ask_about_everything():
    assert parse_request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n")[0].path == b"*"


# -- chunks ------------------------------------------------------------------------------------------------------------

SIZES = st.one_of(st.integers(1, 40), st.integers(4080, 4110), st.sampled_from([255, 256, 4095, 4096, 65_536]))
CHUNK_LINES = st.sampled_from([b"%x", b"%X", b"0%x", b"%x;a", b'%x;a=b;c="d; e"'])


@st.composite
def chunked_messages(draw: st.DrawFn) -> tuple[bytes, bytes]:
    framed, payload = b"", b""
    for size, line in draw(st.lists(st.tuples(SIZES, CHUNK_LINES), max_size=8)):
        piece = (b"ab\r\n" * (size // 4 + 1))[:size]
        framed += line % size + b"\r\n" + piece + b"\r\n"
        payload += piece
    return framed + draw(st.sampled_from([b"0\r\n\r\n", b"00;x\r\n\r\n", b"0\r\nA: b\r\nC:\r\n\r\n"])), payload


@settings(max_examples=400, deadline=None)
@given(chunked_messages(), st.lists(st.integers(0, 1 << 20), max_size=12), st.binary(max_size=5))
def test_chunked_message_is_walked_the_same_however_it_is_split(message, cuts, after):
    framed, payload = message
    data = framed + after
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    walker, pieces, end = ChunkWalker(), [b""], -1
    for start, stop in pairwise(edges):
        end = walker.walk(data[start:stop], pieces)
        if end >= 0:
            assert start + end == len(framed)
            break
    assert end >= 0
    assert b"".join(pieces) == payload
    assert dechunk(framed) == payload


def test_chunks_end_between_two_bytes_of_their_crlf():
    for at in range(1, 12):
        walker, pieces = ChunkWalker(), [b""]
        data = b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
        assert walker.walk(data[:at], pieces) == -1
        assert walker.walk(data[at:], pieces) == len(data) - at
        assert b"".join(pieces) == b"abcde"


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"5\r\n", 5),
        (b"fFf\r\n", None),
        (b"fff\r\n", 4095),
        (b"FFF\r\n", 4095),
        (b"0\r\n", None),
        (b"+5\r\n", None),
        (b"", None),
    ],
)
def test_plain_size_line_is_looked_up(line, size):
    assert size_line_value(line) == size


# -- answers -----------------------------------------------------------------------------------------------------------


def test_answer_is_read():
    head = parse_answer(
        b"HTTP/1.1 200\r\nContent-Type: Text/Event-Stream; x\r\nContent-Length: 3\r\nContent-Encoding: GZIP\r\n"
        b"X: a\r\nx: b\r\n"
    )
    assert (head.status, head.length, head.is_sse, head.content_encoding) == (200, 3, True, b"gzip")
    assert head.get(b"x") == b"a"
    assert head.get(b"none") == b""
    assert head.fields[-1] == (b"x", b"b")
    assert head.keep_alive


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: foo, close\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_answer_after_which_the_connection_is_not_used_again(head):
    assert not parse_answer(head).keep_alive


# Three regular expressions that tell the same as `parse_answer`, slowly and all at once.
_FIELD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n"
_ANSWER = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n(?:%s)*" % _FIELD)
_FRAMING = re.compile(
    rb"\n(content-length|content-type|transfer-encoding|connection|content-encoding):[ \t]*([^\r\n]*)", re.I
)


def by_the_book(head: bytes) -> tuple[object, ...] | None:
    """What `parse_answer` is to read out of HEAD; None where it is to refuse it."""
    parsed = _ANSWER.fullmatch(head)
    if parsed is None:
        return None
    fields = [(name.lower(), raw) for name, raw in _FRAMING.findall(head)]
    lengths = {raw.rstrip(b" \t") for name, raw in fields if name == b"content-length"}
    if not all(value.isdigit() and len(value) <= 12 for value in lengths) or len(set(map(int, lengths))) > 1:
        return None
    codings = [raw.lower() for name, raw in fields if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        return None
    status, is_1_1 = int(parsed[2]), parsed[1] == b"1"
    if status < 200 and not is_1_1:
        return None
    closes = any(b"close" in raw.lower() for name, raw in fields if name == b"connection")
    types = [raw.lower() for name, raw in fields if name == b"content-type"]
    encodings = [raw.rstrip(b" \t").lower() for name, raw in fields if name == b"content-encoding"]
    length = -1 if codings or not lengths else int(lengths.pop())
    is_chunked = bool(codings)
    if status < 200 or status in (204, 304):
        length, is_chunked = 0, False
    return (
        status,
        length,
        is_chunked,
        is_1_1 and not closes and not (codings and lengths),
        bool(types) and types[-1].startswith((b"text/event-stream", b"application/vnd.amazon.eventstream")),
        any(kind.startswith(b"application/vnd.amazon.eventstream") for kind in types),
        encodings[-1] if encodings else b"",
    )


def as_read(head: bytes) -> tuple[object, ...] | None:
    try:
        answer = parse_answer(head)
    except Malformed:
        return None
    framing = (answer.status, answer.length, answer.is_chunked, answer.keep_alive)
    return (*framing, answer.is_sse, answer.is_framed, answer.content_encoding)


START_LINES = st.sampled_from(
    (
        b"HTTP/1.1 200 OK//HTTP/1.1 200//HTTP/1.0 200 OK//HTTP/1.1 204 No//HTTP/1.1 304 x: y//HTTP/1.1 503 "
        b"//HTTP/1.1 100 Go//HTTP/1.0 100 Go//HTTP/1.1 200 \x00\x7f\xe9\t//HTTP/1.1 2000//HTTP/1.1 099 x"
        b"//HTTP/1.1  200 OK//HTTP/2.0 200 OK//http/1.1 200 OK////HTTP/1.1 200\tOK//HTTP/1.1 200 O\nK"
    ).split(b"//")
)
FIELD_NAMES = st.sampled_from(
    (
        b"Content-Length//content-length//Transfer-Encoding//transfer-encoding//Content-Type//CONTENT-TYPE//Connection"
        b"//Content-Encoding//X-A//x!#$%&'*+.^_`|~0//// X//X //X\x80//X\t//X(a)//Content-Length //Transfer\x00-Encoding"
        b'//A\rB//A\nB//"X"//X{//xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'
    ).split(b"//")
) | st.binary(max_size=3)
FIELD_VALUES = st.sampled_from(
    (
        b"0//5//05//5, 5//+5//5 \t//111111111111//1111111111111////chunked//Chunked//chunked //gzip//close"
        b"//keep-alive, Close//keep-alive//text/event-stream; charset=utf-8//Text/Event-Stream//a/b"
        b"//application/vnd.amazon.eventstream//\x00//\x7f//a\tb\xff//a: b//a\r b//a\n b//\x0b5//\xa05"
    ).split(b"//")
) | st.binary(max_size=3)
FIELD_LINES = st.tuples(FIELD_NAMES, st.sampled_from([b":", b": ", b":\t ", b": ", b"", b" : "]), FIELD_VALUES).map(
    b"".join
)
LINE_ENDS = st.sampled_from([*[b"\r\n"] * 12, b"\n", b"\r", b"\r\n ", b"\r\r\n", b"\r\n\t"])


@settings(max_examples=2000, deadline=None)
@given(START_LINES, st.lists(st.tuples(LINE_ENDS, FIELD_LINES), max_size=5))
def test_answer_head_is_read_by_the_book(start, lines):
    head = start + b"".join(map(b"".join, lines)) + b"\r\n"
    assert as_read(head) == by_the_book(head)


def test_answer_heads_of_a_vendor_are_read_the_same_each_time():
    head = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-RateLimit-Left: %d\r\nset-cookie: a: b\r\n"
    for n in range(3):
        answer = parse_answer(head % n + b"Content-Length: %d\r\nCF-RAY: 8e-FRA\r\n" % n)
        assert answer.length == n
        assert answer.get(b"x-ratelimit-left") == b"%d" % n


# -- the oracle --------------------------------------------------------------------------------------------------------

NASTY = (
    [bytes([byte]) for byte in b'\r\n \t\x00\x0b:;,+-0159f\xff"=\\{}#?%x']
    + [b"\r\n", b"chunked", b"Content-Length: 3\r\n", b"content-length:0\r\n", b"Transfer-Encoding: chunked\r\n"]
    + [b"transfer-encoding: identity\r\n", b"Connection: close\r\n", b"Host: b\r\n", b"\r\n\r\n", b"0\r\n\r\n"]
    + [b"HTTP/1.0", b"GET / HTTP/1.1\r\nHost: c\r\n\r\n", b""]
)
REQUESTS = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: http://x\r\n\r\n",
    post(b"hello", b"X-A: b c", b"Connection: keep-alive, x"),
    post(b"", b"Expect: 100-continue"),
    post_chunked(chunk(b"hello") + b'6;a=b;c="d"\r\n world\r\n0\r\n\r\n'),
    post_chunked(b"0\r\nA: b\r\n\r\n", b"X:"),
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\n yo\r\n0\r\nT: x\r\n\r\n",
    b"HTTP/1.1 404\r\nX: \xe9\r\nConnection: close\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
]
KNOWN_METHODS = frozenset({b"GET", b"POST", b"OPTIONS"})
# One short string of bytes decides all of an example: drawing it is cheap, so thousands take seconds.
RECIPES = st.binary(min_size=3, max_size=24)


def mutated(data: bytes, recipe: bytes) -> bytes:
    """DATA where, for each three bytes of RECIPE, a few bytes somewhere make way for something nasty."""
    for place, cut, put in zip(recipe[::3], recipe[1::3], recipe[2::3], strict=False):
        at = place * (len(data) + 1) // 256
        data = data[:at] + NASTY[put % len(NASTY)] + data[at + cut % 7 :]
    return data


def cut_in_reads(data: bytes, cuts: bytes) -> list[bytes]:
    edges = sorted({0, len(data), *(cut * len(data) // 256 for cut in cuts)})
    return [data[start:stop] for start, stop in pairwise(edges)]


def read_by_us(reads: list[bytes]) -> list[Exchange]:
    """The requests that our server read whole."""
    client = Client(read_then_answer)
    client.send(*reads)
    client.transport.lose()
    return [call for call in client.desk.calls if call.body is not None]


@settings(max_examples=2000, deadline=None)
@given(RECIPES)
def test_requests_that_we_accept_are_what_llhttp_reads(recipe):
    data = mutated(b"".join(REQUESTS[byte % len(REQUESTS)] for byte in recipe[:2]), recipe[3:])
    ours, theirs = read_by_us(cut_in_reads(data, recipe[2:5])), requests_in(data)
    if any(call.head.method not in KNOWN_METHODS for call in ours):
        return
    assert len(ours) <= len(theirs)
    for call, message in zip(ours, theirs, strict=False):
        head = call.head
        assert (head.method, "1.0" if head.is_1_0 else "1.1") == message.start
        assert (head.path, head.query) == message.target.partition(b"?")[::2]
        fields = [field for field in message.fields if field[0].lower() != b"content-length"]
        assert head.fields == fields[: len(head.fields)]
        assert len(fields) == len(head.fields) or head.is_chunked  # then the rest are trailers
        assert call.body == message.body


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4), st.binary(max_size=8))
def test_valid_requests_are_all_accepted_however_they_are_split(requests, cuts):
    data = b"".join(requests)
    ours = read_by_us(cut_in_reads(data, cuts))
    assert len(ours) == len(requests) == len(requests_in(data))


@settings(max_examples=2000, deadline=None)
@given(RECIPES)
def test_answers_that_we_accept_are_what_llhttp_reads(recipe):
    data = mutated(ANSWERS[recipe[0] % len(ANSWERS)], recipe[2:])
    upstream = answer_read_by_us(cut_in_reads(data, recipe[1:4]))
    head = upstream.head
    if head is None or not upstream.is_done:
        return
    names = [name.lower() for name, _ in head.fields]
    if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        return
    message = answer_in(data)
    if not message.start and b"close" in data.partition(b"\r\n\r\n")[0].lower():
        return  # it reads nothing after an interim answer that says so
    assert message.start[0] == head.status
    assert message.fields[: len(head.fields)] == head.fields
    assert message.body == upstream.whole()
    assert message.is_whole or head.length < 0


def answer_read_by_us(reads: list[bytes]) -> Upstream:
    """What our upstream makes of READS, after which its peer closes."""
    line = Line()
    line.answer(*reads)
    if not line.transport.ended:
        line.transport.lose()
    return line.upstream
