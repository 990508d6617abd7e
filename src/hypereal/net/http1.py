"""HTTP/1.1 grammar, pure: bytes in, values out, no I/O. What is ambiguous is refused, so nothing can be smuggled.

The rules are RFC 9112's; where it lets a server be lenient (obs-fold, bare LF, repeated lengths) this one is not.
"""

import re
from collections.abc import Iterator

HEAD_BYTES_MAX = 64 * 1024
TARGET_BYTES_MAX = 8192
CHUNK_LINE_BYTES_MAX = 256
TRAILER_BYTES_MAX = 8192

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

REASONS = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    417: b"Expectation Failed",
    426: b"Upgrade Required",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    529: b"Overloaded",
}

_request_line = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]{0,%d}|\*) HTTP/1\.([01])\r\n" % TARGET_BYTES_MAX).match
_field_block = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*").fullmatch
_fields = re.compile(rb"([^:\r\n]+):[ \t]*([^\r]*?)[ \t]*\r\n").findall
_framing = re.compile(
    rb"(?:\A|\n)(content-length|transfer-encoding|connection|expect|host|upgrade):[ \t]*([^\r]*)", re.I
).findall
_answer_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n").match
_answer_fields = re.compile(
    rb"\n(content-length|content-type|transfer-encoding|connection|content-encoding):[ \t]*([^\r\n]*)", re.I
).findall
is_length = re.compile(rb"[0-9]{1,12}").fullmatch
_chunk_line = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_trailers = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n").fullmatch
_sizes = {f"{n:x}".encode(): n for n in range(1, 65536)} | {f"{n:X}".encode(): n for n in range(1, 65536)}


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
        """Every field in order, names as they were sent, values without surrounding space."""
        return _fields(self._block)

    def get(self, name: bytes) -> bytes:
        """The value of the first field called NAME (lower case), or b''."""
        if self._map is None:
            self._map = {}
            for key, value in _fields(self._block):
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
    if (target == b"*") != (method == b"OPTIONS" and target == b"*"):
        raise Malformed(400, "bad request target")
    block = head[line.end() :]
    if _field_block(block) is None:
        raise Malformed(400, "bad header field")
    request = RequestHead(method, target, block)
    request.is_1_0 = minor == b"0"
    request.keep_alive = not request.is_1_0
    length = _frame(request, block)
    if request.is_chunked and length is not None:
        raise Malformed(400, "content-length with transfer-encoding")
    return request, length


def _frame(request: RequestHead, block: bytes) -> bytes | None:
    """Read the fields that decide where a request ends and who it is for; returns the digits of Content-Length."""
    length: bytes | None = None
    hosts = 0
    for name, raw in _framing(block):
        value = raw.rstrip(b" \t")
        match name.lower():
            case b"content-length":
                if length is not None or is_length(value) is None:
                    raise Malformed(400, "bad content-length")
                length = value
            case b"host":
                hosts += 1
            case b"upgrade":
                request.upgrade = value.lower()
            case field:
                _connection_field(request, field, value.lower())
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


def _connection_field(request: RequestHead, name: bytes, value: bytes) -> None:
    if name == b"transfer-encoding":
        if request.is_chunked or value != b"chunked" or request.is_1_0:
            raise Malformed(501, "only transfer-encoding: chunked is served")
        request.is_chunked = True
    elif name == b"connection":
        tokens = [token.strip(b" \t") for token in value.split(b",")]
        if b"close" in tokens:
            request.keep_alive = False
        elif request.is_1_0 and b"keep-alive" in tokens:
            request.keep_alive = True
    elif name == b"expect":
        if value != b"100-continue":
            raise Malformed(417, "only expect: 100-continue is served")
        request.expects_continue = not request.is_1_0


class AnswerHead:
    """One parsed answer head of an upstream. `length` is -1 where the head does not say."""

    __slots__ = ("_head", "content_encoding", "content_type", "is_chunked", "keep_alive", "length", "status")

    def __init__(self, status: int, head: bytes, *, keep_alive: bool) -> None:
        self.status = status
        self._head = head
        self.keep_alive = keep_alive
        self.length = -1
        self.is_chunked = False
        self.content_type = b""
        self.content_encoding = b""

    @property
    def is_sse(self) -> bool:
        """Whether the body says that it is a stream of server-sent events."""
        return self.content_type[:17].lower() == b"text/event-stream"

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


def parse_answer(head: bytes) -> AnswerHead:
    """HEAD ends after the last field's CRLF. Raises Malformed (502)."""
    line = _answer_line(head)
    if line is None:
        raise Malformed(502, "bad status line")
    if _field_block(head[line.end() :]) is None:
        raise Malformed(502, "bad header field")
    answer = AnswerHead(int(line.group(2)), head, keep_alive=line.group(1) == b"1")
    for name, raw in _answer_fields(head):
        _answer_field(answer, name.lower(), raw.rstrip(b" \t"))
    if answer.is_chunked and answer.length >= 0:
        answer.length = -1  # RFC 9112 6.3: transfer-encoding wins, and the connection is not to be trusted after
        answer.keep_alive = False
    if answer.status in (204, 304):
        answer.length, answer.is_chunked = 0, False
    return answer


def _answer_field(answer: AnswerHead, name: bytes, value: bytes) -> None:
    match name:
        case b"content-length":
            if is_length(value) is None or answer.length not in (-1, int(value)):
                raise Malformed(502, "bad content-length")
            answer.length = int(value)
        case b"content-type":
            answer.content_type = value
        case b"transfer-encoding":
            if value.lower() != b"chunked" or answer.is_chunked:
                raise Malformed(502, "bad transfer-encoding")
            answer.is_chunked = True
        case b"content-encoding":
            answer.content_encoding = value.lower()
        case _:
            if b"close" in value.lower():
                answer.keep_alive = False


class ChunkWalker:
    """Finds the end of a chunked message, read by read, without rebuilding it."""

    __slots__ = ("left", "part")

    def __init__(self) -> None:
        self.left = 0
        """Bytes of the current chunk still to come, its CRLF included."""
        self.part = b""
        """The start of a size line or trailer that a read cut off."""

    @property
    def is_between_chunks(self) -> bool:
        """Whether the next byte begins a chunk."""
        return not self.left and not self.part

    def walk(self, data: bytes, payload: list[bytes] | None = None) -> int:
        """Take one read; append its payload to PAYLOAD where given.

        Returns how many bytes of DATA belong to the message once it is complete, else -1. Raises Malformed.
        """
        carried = len(self.part)
        if carried:
            data = self.part + data
            self.part = b""
        size_of, n, left, at = _sizes.get, len(data), self.left, 0
        while True:
            if left:
                if left > n - at:
                    return self._cut(data[at:], left, payload)
                if payload is not None:
                    payload.append(data[at : at + left - 2])
                at += left
                left = 0
                if data[at - 2 : at] != b"\r\n" and not (at == 1 and data[:1] == b"\n"):
                    raise Malformed(400, "bad end of chunk")
            end = data.find(b"\r\n", at)
            if end < 0:
                return self._hold(data[at:])
            size = size_of(data[at:end]) or _size(data[at:end])
            if not size:
                return self._finish(data, at, end + 2, carried)
            at = end + 2
            left = size + 2

    def _cut(self, rest: bytes, left: int, payload: list[bytes] | None) -> int:
        """The read ends inside a chunk of which LEFT bytes, CRLF included, were to come; REST of them came."""
        if payload is not None:
            payload.append(rest[: max(0, left - 2)])
        self.left = left - len(rest)
        if self.left == 1 and rest and rest[-1:] != b"\r":
            raise Malformed(400, "bad end of chunk")
        return -1

    def _hold(self, line: bytes) -> int:
        """The read ends between chunks, or inside the size line that starts with LINE."""
        if len(line) > CHUNK_LINE_BYTES_MAX:
            raise Malformed(400, "chunk line too long")
        self.left, self.part = 0, line
        return -1

    def _finish(self, data: bytes, last_chunk: int, trailers: int, carried: int) -> int:
        """The zero chunk starts at LAST_CHUNK; its trailers, up to an empty line, may still be coming."""
        self.left = 0
        if data[trailers : trailers + 2] == b"\r\n":
            return trailers + 2 - carried
        end = data.find(b"\r\n\r\n", trailers)
        if end < 0:
            if len(data) - last_chunk > TRAILER_BYTES_MAX:
                raise Malformed(400, "trailers too long")
            self.part = data[last_chunk:]
            return -1
        if _trailers(data, trailers, end + 4) is None:
            raise Malformed(400, "bad trailer")
        return end + 4 - carried


def _size(line: bytes) -> int:
    found = _chunk_line(line)
    if found is None:
        raise Malformed(400, "bad chunk size")
    return int(found.group(1), 16)


def dechunk(data: bytes) -> bytes:
    """The payload of whole chunks; the last one may be missing. Raises Malformed."""
    payload: list[bytes] = []
    ChunkWalker().walk(data, payload)
    return payload[0] if len(payload) == 1 else b"".join(payload)


def chunk(payload: bytes) -> bytes:
    """PAYLOAD, which must not be empty, as one chunk."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def query_values(query: bytes, name: bytes) -> Iterator[bytes]:
    """The raw (still percent-encoded) values of NAME in a query string."""
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            yield value
