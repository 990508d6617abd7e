"""HTTP/1.1 grammar, pure: bytes in, values out, no I/O. What is ambiguous is refused, so nothing can be smuggled.

The rules are RFC 9112's; where it lets a server be lenient (obs-fold, bare LF, repeated lengths) this one is not.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

HEAD_BYTES_MAX: Final = 64 * 1024
TARGET_BYTES_MAX: Final = 8192
LENGTH_DIGITS_MAX: Final = 12
CHUNK_LINE_BYTES_MAX: Final = 256
TRAILER_BYTES_MAX: Final = 8192
INTERIM_MAX: Final = 100
"""Answers of 1xx in one read."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
LAST_JOINT: Final = b"\r\n0\r\n"
"""What comes before the trailers, nearly always."""
BETWEEN: Final = b"\r\n"
"""The part of a joint that comes before a size line."""
STEP_LIKELY: Final = 6
"""The length of a joint before a chunk of 16 to 255 bytes, as most events of streams are."""
_BODILESS: Final = (204, 304)

REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    413: b"Content Too Large",
    529: b"Overloaded",
}

_request_line: Final = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]{0,%d}|\*) HTTP/1\.([01])\r\n" % TARGET_BYTES_MAX).match
_field_block: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*").fullmatch
_fields: Final = re.compile(rb"([^:\r\n]+):[ \t]*([^\r]*?)[ \t]*\r\n").findall
_framing: Final = re.compile(
    rb"(?:\A|\n)(content-length|transfer-encoding|connection|expect|host|upgrade):[ \t]*([^\r]*)", re.I
).findall
_answer_fields: Final = re.compile(rb"\n(content-type|transfer-encoding|content-encoding|connection):([^\r]*)").findall
_STATUSES: Final = {
    b"HTTP/1.%d %d%s" % (minor, status, end): (status, minor == 1)
    for status in range(100, 1000)
    for minor in (0, 1)
    for end in (b" ", b"\r")
}
"""How a status line begins: the status, and whether the connection outlives the answer if no field says otherwise."""
_chunk_line: Final = re.compile(
    rb"([0-9a-fA-F]{1,8})(?:;[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"[^\"\\\x00-\x08\x0a-\x1f\x7f]*\"))?)*"
).fullmatch
_trailers: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n").fullmatch
_framing_trailer: Final = re.compile(rb"\n(?:content-length|transfer-encoding):", re.I).search
_size_line: Final = re.compile(rb"[0-9a-fA-F]{1,8}\r\n|\Z").match
_size_lines: Final = {form % n: n for n in range(1, 4096) for form in (b"%x\r\n", b"%X\r\n")}
size_line_value: Final = _size_lines.get
"""The size that a plain size line tells, its CRLF included; None for a longer chunk and for what is no size line."""
_lone_starts: Final[dict[int, tuple[bytes, ...]]] = {}
for _line, _told in _size_lines.items():
    _length = len(_line) + _told + 2
    _lone_starts[_length] = (*_lone_starts.get(_length, ()), _line)
lone_starts: Final = _lone_starts.get
"""How a read begins that is one chunk with a plain size line, by its length: two ways where a digit is a letter."""
# What stands between two chunks, by its length: the CRLF of the one before, then the size line of the next. The value
# is how far it is from there to where the next joint begins.
_joints: Final = {
    length: {b"\r\n" + line: length + n for line, n in _size_lines.items() if len(line) + 2 == length}
    for length in (5, 6, 7)
}
_NO_JOINTS: Final[dict[bytes, int]] = {}


def is_length(value: bytes) -> bool:
    """Whether VALUE is what Content-Length may be: ASCII digits, a bounded number of them."""
    return value.isdigit() and len(value) <= LENGTH_DIGITS_MAX


class Malformed(Exception):
    """The peer broke the grammar. STATUS is what a client is told; after it, framing is unknown and nothing is read."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class RequestHead:
    """One parsed request head. Shared between requests through a cache, so it holds nothing of a call."""

    __slots__ = (
        "_block",
        "_map",
        "expects_continue",
        "is_1_0",
        "is_chunked",
        "keep_alive",
        "memo",
        "method",
        "path",
        "query",
        "upgrade",
    )

    def __init__(self, method: bytes, target: bytes, block: bytes) -> None:
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self._block = block
        self._map: dict[bytes, bytes] | None = None
        self.is_1_0 = False
        self.keep_alive = True
        self.expects_continue = False
        self.is_chunked = False
        self.upgrade = b""
        self.memo: object = None
        """What the app derived from this head; kept with it."""

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Every field in order but Content-Length, which is one request's own: names as sent, values without space."""
        return [field for field in _fields(self._block) if field[0].lower() != b"content-length"]

    def get(self, name: bytes) -> bytes:
        """The value of the first field called NAME (lower case), or b''."""
        if self._map is None:
            self._map = {}
            for key, value in self.fields:
                self._map.setdefault(key.lower(), value)
        return self._map.get(name, b"")


def parse_request(head: bytes) -> tuple[RequestHead, bytes | None]:
    """HEAD ends after the last field's CRLF. Returns the head and the digits of its Content-Length, if any.

    Raises Malformed.
    """
    line = _request_line(head)
    if line is None:
        raise Malformed(*_why_bad_line(head))
    method, target, minor = line.groups()
    if target == b"*" and method != b"OPTIONS":
        raise Malformed(400, "bad request target")
    block = head[line.end() :]
    if _field_block(block) is None:
        raise Malformed(400, "bad header field")
    request = RequestHead(method, target, block)
    request.is_1_0 = minor == b"0"
    length = _frame(request, block)
    if request.is_chunked and length is not None:
        raise Malformed(400, "content-length with transfer-encoding")
    return request, length


def _frame(request: RequestHead, block: bytes) -> bytes | None:
    """Read the fields that decide where a request ends and who it is for; returns the digits of Content-Length."""
    length: bytes | None = None
    hosts = 0
    connection: list[bytes] = []
    for name, raw in _framing(block):
        value = raw.rstrip(b" \t")
        match name.lower():
            case b"content-length":
                if length is not None or not is_length(value):
                    raise Malformed(400, "bad content-length")
                length = value
            case b"host":
                hosts += 1
            case b"upgrade":
                request.upgrade = value.lower()
            case b"connection":
                connection += [token.strip(b" \t") for token in value.lower().split(b",")]
            case field:
                _coding_field(request, field, raw.lower())
    request.keep_alive = b"close" not in connection and (not request.is_1_0 or b"keep-alive" in connection)
    if hosts > 1 or (hosts == 0 and not request.is_1_0):
        raise Malformed(400, "exactly one host field is needed")
    return length


def _why_bad_line(head: bytes) -> tuple[int, str]:
    line = head.partition(b"\r\n")[0]
    if len(line) > TARGET_BYTES_MAX:
        return 431, "request line too long"
    if re.fullmatch(rb"[A-Z]{1,16} [\x21-\x7e]+ HTTP/[02-9]\.[0-9]", line):
        return 505, "HTTP/1.1 is spoken here"
    return 400, "bad request line"


def _coding_field(request: RequestHead, name: bytes, value: bytes) -> None:
    """VALUE in lower case, with the space that may follow it: a coding that needs trimming is none of ours."""
    if name == b"transfer-encoding":
        if request.is_chunked or value != b"chunked" or request.is_1_0:
            raise Malformed(501, "only transfer-encoding: chunked is served")
        request.is_chunked = True
    else:
        if value.rstrip(b" \t") != b"100-continue":
            raise Malformed(417, "only expect: 100-continue is served")
        request.expects_continue = not request.is_1_0


class AnswerHead:
    """One parsed answer head of an upstream. `length` is -1 where the head does not say."""

    __slots__ = ("_head", "content_encoding", "is_chunked", "is_framed", "is_sse", "keep_alive", "length", "status")

    def __init__(self, status: int, head: bytes, keep_alive: bool) -> None:
        self.status = status
        self._head = head
        self.keep_alive = keep_alive
        self.length = -1
        self.is_chunked = False
        self.is_sse = False
        """Whether the body says that it is a stream of server-sent events, or of events that are told as such."""
        self.is_framed = False
        """Whether those are in the messages of Amazon's event stream (`eventstream`)."""
        self.content_encoding = b""

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Every field in order."""
        return _fields(self._head[self._head.index(b"\r\n") + 2 :])

    def get(self, name: bytes) -> bytes:
        """The value of the first field called NAME (lower case), or b''."""
        for key, value in self.fields:
            if key.lower() == name:
                return value
        return b""


def first_answer(data: bytes) -> tuple[AnswerHead | None, bytes]:
    """The head of the first answer in DATA that is more than interim, and what follows it; None while it is coming."""
    for _ in range(INTERIM_MAX):
        end = data.find(b"\r\n\r\n")
        if not 0 <= end <= HEAD_BYTES_MAX:
            if len(data) > HEAD_BYTES_MAX:
                raise Malformed(502, "answer head too long")
            return None, data
        head = parse_answer(data[: end + 2])
        data = data[end + 4 :]
        if head.status >= 200:
            return head, data
        if head.status == 101:
            raise Malformed(502, "the upstream switched protocols")
    raise Malformed(502, "too many interim answers")


def parse_answer(head: bytes) -> AnswerHead:
    """HEAD ends after the last field's CRLF. Raises Malformed (502).

    All is asked of the whole head at once: most say no more than how long their body is.
    """
    known = _STATUSES.get(head[:13])
    line_end = head.find(b"\r")
    if known is None or head.find(b"\n") != line_end + 1:
        raise Malformed(502, "bad status line")
    if _field_block(head, line_end + 2) is None:
        raise Malformed(502, "bad header field")
    status, keep_alive = known
    answer = AnswerHead(status, head, keep_alive)
    lowered = head.lower()
    at = lowered.find(_LENGTH)
    if at >= 0:
        _take_length(answer, lowered, at)
    if lowered.find(b"event") >= 0 or lowered.find(b"-encoding:") >= 0 or lowered.find(b"close") >= 0:
        _take_others(answer, lowered)
    if status < 200 or status in _BODILESS:
        if status < 200 and not keep_alive:
            raise Malformed(502, "an interim answer in HTTP/1.0")
        answer.length, answer.is_chunked = 0, False
    return answer


def _take_length(answer: AnswerHead, lowered: bytes, at: int) -> None:
    """The head in lower case has the field at AT, and maybe once more."""
    while at >= 0:
        end = lowered.find(b"\r", at + 1)
        digits = lowered[at + len(_LENGTH) : end].strip()
        length = int(digits) if digits.isdigit() and len(digits) <= LENGTH_DIGITS_MAX else -1
        if length < 0 or answer.length not in (-1, length):
            raise Malformed(502, "bad content-length")
        answer.length = length
        at = lowered.find(_LENGTH, end)


def _take_others(answer: AnswerHead, lowered: bytes) -> None:
    """Of the head in lower case: a stream of events, a coding, or a connection that is to be closed, perhaps."""
    for name, value in _answer_fields(lowered):
        if name == b"content-type":
            kind = value.lstrip()
            answer.is_sse = kind.startswith(_EVENT_STREAMS)
            answer.is_framed |= kind.startswith(_EVENT_STREAMS[1])
        elif name == b"transfer-encoding":  # with space after it some read it as chunked, some do not
            if value.lstrip() != b"chunked" or answer.is_chunked:
                raise Malformed(502, "bad transfer-encoding")
            answer.is_chunked = True
        elif name == b"content-encoding":
            answer.content_encoding = value.strip()
        elif value.find(b"close") >= 0:
            answer.keep_alive = False
    if answer.is_chunked and answer.length >= 0:
        answer.length = -1  # RFC 9112 6.3: transfer-encoding wins, and the connection is not to be trusted after
        answer.keep_alive = False


_LENGTH: Final = b"\ncontent-length:"
_EVENT_STREAMS: Final = (b"text/event-stream", b"application/vnd.amazon.eventstream")


class ChunkWalker:
    """Finds the end of a chunked message, read by read, without rebuilding it.

    What stands between two payloads, the end of one chunk and the size line of the next, is looked up in one piece: a
    stream repeats the same few. Before the first chunk the message is read as if the end of another had just come.
    """

    __slots__ = ("_left", "_step", "joint")

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the current payload still to come."""
        self.joint = BETWEEN
        """What has come of the joint that a read cut off; after the zero chunk, its trailers too.

        BETWEEN where the next byte begins a chunk.
        """
        self._step = STEP_LIKELY
        """How long a joint is thought to be: as long as the last."""

    def restart(self) -> None:
        """Forget what was walked: the next byte begins a chunk."""
        self._left, self.joint, self._step = 0, BETWEEN, STEP_LIKELY

    def walk(self, data: bytes, payload: list[bytes] | None = None) -> int:
        """Take one read; append its payload to PAYLOAD where given.

        Returns how many bytes of DATA belong to the message once it is complete, else -1. Raises Malformed.
        """
        at, carried = self._left, len(self.joint)
        if carried:
            data = self.joint + data
        elif at and self._is_inside(data, payload):
            return -1
        return self._walk(data, at, payload, carried)

    def walk_on(self, data: bytes, at: int) -> int:
        """`walk` of DATA whose first chunk, walked by the caller, ends before the joint at AT."""
        self.joint = b""
        return self._walk(data, at, None, 0)

    def _walk(self, data: bytes, at: int, payload: list[bytes] | None, carried: int) -> int:
        while True:
            at = self._hop(data, at, payload)
            if at > len(data):
                self._left, self.joint = at - len(data), b""
                return -1
            end = data.find(b"\r\n", at + 2)
            if end < 0:
                return self._hold(data[at:])
            joint = data[at : end + 2]
            size = 0 if joint == LAST_JOINT else self._look(joint)
            if not size:
                return self._finish(data, at, end + 2, carried)
            at = end + 2
            if payload is not None:
                payload.append(data[at : at + size])
            at += size

    def _hop(self, data: bytes, at: int, payload: list[bytes] | None) -> int:
        """From the joint at AT over all chunks whose joints are as long as the last; returns where that ends."""
        step = self._step
        joints = _joints[step]
        try:
            if payload is None:
                while True:
                    at += joints[data[at : at + step]]
            while True:
                far = joints[data[at : at + step]]
                payload.append(data[at + step : at + far])
                at += far
        except KeyError:
            return at

    def _is_inside(self, data: bytes, payload: list[bytes] | None) -> bool:
        """Take the rest of a payload that a read cut off; does DATA end before it?"""
        if payload is not None:
            payload.append(data[: self._left])
        self._left = max(0, self._left - len(data))
        return self._left > 0

    def _look(self, joint: bytes) -> int:
        """The size that JOINT tells; the next ones are thought to be as long."""
        far = _joints.get(len(joint), _NO_JOINTS).get(joint)
        if far is None:
            return _size(joint)
        self._step = len(joint)
        return far - len(joint)

    def _hold(self, joint: bytes) -> int:
        """The read ends inside JOINT, or before it."""
        if not b"\r\n".startswith(joint[:2]):
            raise Malformed(400, "bad end of chunk")
        if len(joint) > CHUNK_LINE_BYTES_MAX:
            raise Malformed(400, "chunk line too long")
        self.joint = joint
        return -1

    def _finish(self, data: bytes, joint: int, trailers: int, carried: int) -> int:
        """The joint at JOINT leads to the zero chunk; its trailers, up to an empty line, may still be coming."""
        if data[trailers : trailers + 2] == b"\r\n":
            end = trailers + 2
        else:
            end = data.find(b"\r\n\r\n", trailers) + 4
            if (end if end > 3 else len(data)) - trailers > TRAILER_BYTES_MAX:
                raise Malformed(400, "trailers too long")
            if end == 3:
                self.joint = data[joint:]
                return -1
            if _trailers(data, trailers, end) is None or _framing_trailer(data, trailers - 1, end) is not None:
                raise Malformed(400, "bad trailer")
        self.restart()
        return end - carried


def _size(joint: bytes) -> int:
    """The size that JOINT tells: the CRLF that ends the chunk before, hexadecimal digits, maybe an extension, CRLF."""
    if joint[:2] != b"\r\n":
        raise Malformed(400, "bad end of chunk")
    found = _chunk_line(joint, 2, len(joint) - 2)
    if found is None or len(joint) > CHUNK_LINE_BYTES_MAX:
        raise Malformed(400, "bad chunk size")
    return int(found.group(1), 16)


def is_lone_chunk(data: bytes) -> bool:
    """Whether DATA is one chunk with a plain size line."""
    return data.startswith(lone_starts(len(data), ())) and data.endswith(b"\r\n")


def may_begin_chunk(data: bytes, at: int) -> bool:
    """Whether what stands at AT is a plain size line, or the end of DATA."""
    return _size_line(data, at) is not None


_walker: Final = ChunkWalker()
"""Of those who never wait: one is enough."""


def dechunk(data: bytes) -> bytes:
    """The payload of whole chunks; the last one may be missing. Raises Malformed."""
    if is_lone_chunk(data):
        return data[data.index(b"\n") + 1 : -2]
    payload: list[bytes] = []
    _walker.restart()
    _walker.walk(data, payload)
    return payload[0] if len(payload) == 1 else b"".join(payload)


def are_whole_chunks(data: bytes) -> bool:
    """Whether DATA is whole chunks and nothing else, without the last one."""
    _walker.restart()
    try:
        return _walker.walk(data) < 0 and _walker.joint == BETWEEN
    except Malformed:
        return False


def chunk(payload: bytes) -> bytes:
    """PAYLOAD, which must not be empty, as one chunk."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def query_values(query: bytes, name: bytes) -> Iterator[bytes]:
    """The raw (still percent-encoded) values of NAME in a query string."""
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            yield value
