"""The client's side of the HTTP plane: one `Connection` reads requests one at a time and hands each head to the app.

The body is read when the call asks for it (`read_body`, `stream_body`): who calls is known before it costs anything.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from hypereal.net.body_budget import budget
from hypereal.net.http1 import CONTINUE, HEAD_BYTES_MAX, ChunkWalker, Malformed, RequestHead, is_length, parse_request

WRITE_BYTES_HIGH = 256 * 1024
PIPELINED_BYTES_MAX = 64 * 1024
LONG_BODY_BYTES = 64 * 1024
HEAD_CACHE_MAX = 2048
HEAD_CACHE_BYTES_MAX = 4096
HEAD_S_MAX = 10
IDLE_S_MAX = 120
STALLED_S_MAX = 60
LINGER_S = 1.0

Body = bytes | bytearray

_heads: dict[bytes, RequestHead] = {}


class Exchange(Protocol):
    """What a connection tells the call it carries."""

    def body_ready(self) -> None:
        """The body that `read_body` waited for is whole."""

    def body_failed(self, why: Malformed) -> None:
        """It never will be: the framing broke or it grew too large."""

    def client_gone(self) -> None:
        """The client closed; nothing more can be written."""

    def pause(self) -> None:
        """The client reads slower than it is written to."""

    def resume(self) -> None:
        """It caught up."""


class App(Protocol):
    """What a connection needs of the program: one is shared by all connections of a process."""

    connections: set["Connection"]
    body_bytes_max: int
    is_draining: bool
    """Answers say `connection: close`."""
    closes_idle: bool
    """Connections without a call are closed."""

    def begin(self, connection: "Connection", head: RequestHead) -> None:
        """Start the call of HEAD: set `connection.call` before it returns, or finish it with `done`."""

    def refuse(self, connection: "Connection", why: Malformed) -> bytes:
        """The whole answer, head and body, to a request that broke the grammar; the connection closes after it."""


class Connection(asyncio.Protocol):
    """One client connection: requests in, answers out, in order."""

    __slots__ = (
        "_body_bytes_max",
        "_body_left",
        "_body_seen",
        "_buffer",
        "_held_bytes",
        "_loop",
        "_parts",
        "_reading",
        "_sink",
        "_walker",
        "app",
        "body",
        "call",
        "head",
        "is_body_over",
        "is_closed",
        "is_in_paused",
        "is_out_paused",
        "length",
        "since_s",
        "transport",
    )

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self._loop = loop
        self.transport: asyncio.Transport
        self.call: Exchange | None = None
        self.head: RequestHead | None = None
        self.length = 0
        self.body: Body = b""
        """The whole body, once `read_body` has it."""
        self.is_body_over = True
        """Whether every byte of the current request has been taken off the wire."""
        self.is_closed = False
        self.is_in_paused = False
        self.is_out_paused = False
        self.since_s = 0
        """Sweeps since this connection last moved in the state it is in."""
        self._buffer = b""
        self._reading = False
        self._sink: Callable[[bytes], None] | None = None
        self._parts: list[bytes] = []
        self._body_left = 0
        self._body_seen = 0
        self._held_bytes = 0
        self._body_bytes_max = app.body_bytes_max
        self._walker: ChunkWalker | None = None

    # -- asyncio's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.set_write_buffer_limits(WRITE_BYTES_HIGH)
        self.app.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self.app.connections.discard(self)
        self._release_body()
        call, self.call = self.call, None
        if call is not None:
            call.client_gone()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.is_out_paused = True
        if self.call is not None:
            self.call.pause()

    def resume_writing(self) -> None:
        self.is_out_paused = False
        self.since_s = 0
        if self.call is not None:
            self.call.resume()

    def data_received(self, data: bytes) -> None:
        self.since_s = 0
        if self._reading:
            self._take_body(data)
        elif self.call is not None:
            self._buffer += data
            if len(self._buffer) > PIPELINED_BYTES_MAX and not self.is_in_paused:
                self.is_in_paused = True
                self.transport.pause_reading()
        else:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._take_head(data)

    # -- heads -----------------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        try:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > HEAD_BYTES_MAX:
                self._wait_for_head(data)
                return
            head, digits = _parse_cached(data, end)
            self.length = int(digits) if digits else 0
        except Malformed as why:
            self.refuse(why)
            return
        self.head = head
        self._buffer = data[end + 4 :]
        self.is_body_over = not self.length and not head.is_chunked
        self.app.begin(self, head)

    def _wait_for_head(self, data: bytes) -> None:
        while data[:2] == b"\r\n":  # RFC 9112 2.2: empty lines before a request are skipped
            data = data[2:]
        if len(data) > HEAD_BYTES_MAX:
            raise Malformed(431, "request head too long")
        if b"\n\n" in data:
            raise Malformed(400, "lines end in CR LF")
        self._buffer = data

    # -- bodies ----------------------------------------------------------------------------------------------------

    def read_body(self) -> bool:
        """Gather the body. True: `body` is whole now; False: `call.body_ready` or `body_failed` will be called.

        Raises Malformed (413, 400).
        """
        assert self.head is not None
        if self.is_body_over:
            self.body = b""
            return True
        if self.length > self._body_bytes_max:
            raise Malformed(413, f"the body is over {self._body_bytes_max} bytes")
        if self.head.is_chunked:
            self._walker = ChunkWalker()
            self._start_reading()
            return self._resume_body()
        have = len(self._buffer)
        if have >= self.length:
            self.body, self._buffer = self._buffer[: self.length], self._buffer[self.length :]
            self.is_body_over = True
            return True
        if budget.take(self.length, self._read_counted):
            self._held_bytes = self.length
            self._read_counted()
        else:
            self.transport.pause_reading()
            self.is_in_paused = True
        return False

    def stream_body(self, sink: Callable[[bytes], None]) -> None:
        """Hand the body to SINK piece by piece as it comes; the last piece is b''. No bound but the sink's own."""
        assert self.head is not None
        self._sink = sink
        if self.is_body_over:
            sink(b"")
            return
        self._walker = ChunkWalker() if self.head.is_chunked else None
        self._body_left = self.length
        self._start_reading()
        self._resume_body()

    def pause_body(self) -> None:
        """Whoever takes the body needs time."""
        if not self.is_in_paused and not self.is_closed:
            self.is_in_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        """And has had it."""
        self._unpause()

    def drop_body(self) -> None:
        """The call needs its body no more: its bytes may be freed."""
        self.body = b""
        self._release_body()

    def _read_counted(self) -> None:
        """The body's length is known and reserved: take what is here, then the rest."""
        if self.is_closed:
            budget.give_back(self.length)
            return
        self._held_bytes = self.length
        first, self._buffer = self._buffer, b""
        self._start_reading()
        if self.length - len(first) > LONG_BODY_BYTES:
            self._reading = False
            self.transport.set_protocol(LongBody(self, first, self.length))
        else:
            self._parts.append(first)
            self._body_left = self.length - len(first)

    def _start_reading(self) -> None:
        assert self.head is not None
        self._reading = True
        if self.head.expects_continue and not self._buffer and not self._parts:
            self.transport.write(CONTINUE)
        self._unpause()

    def _resume_body(self) -> bool:
        """Take the part of the body that came with the head. True where that was all of it."""
        data, self._buffer = self._buffer, b""
        if data:
            self._take_body(data, is_inside_call=True)
        return self.is_body_over

    def _take_body(self, data: bytes, *, is_inside_call: bool = False) -> None:
        try:
            over = self._walk(data) if self._walker is not None else self._count(data)
        except Malformed as why:
            self._reading = False
            self._walker = None
            if is_inside_call:
                raise
            if self.call is not None:
                self.call.body_failed(why)
            return
        if not over:
            return
        self._reading = False
        self._walker = None
        self.is_body_over = True
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink(b"")
            return
        self.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        if not is_inside_call and self.call is not None:
            self.call.body_ready()

    def _count(self, data: bytes) -> bool:
        if len(data) > self._body_left:
            self._buffer = data[self._body_left :]
            data = data[: self._body_left]
        self._body_left -= len(data)
        self._put(data)
        return not self._body_left

    def _walk(self, data: bytes) -> bool:
        assert self._walker is not None
        payload: list[bytes] = []
        end = self._walker.walk(data, payload)
        for piece in payload:
            if self._sink is None:
                self._body_seen += len(piece)
                self._held_bytes += len(piece)
                budget.bytes_held += len(piece)
                if self._body_seen > self._body_bytes_max:
                    raise Malformed(413, f"the body is over {self._body_bytes_max} bytes")
            self._put(piece)
        if end < 0:
            return False
        self._buffer = data[end:]
        return True

    def _put(self, piece: bytes) -> None:
        if not piece:
            return
        if self._sink is not None:
            self._sink(piece)
        else:
            self._parts.append(piece)

    def _release_body(self) -> None:
        if self._held_bytes:
            held, self._held_bytes = self._held_bytes, 0
            budget.give_back(held)

    # -- the end of a request --------------------------------------------------------------------------------------

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow on this connection; an answer that says otherwise says `close`."""
        assert self.head is not None
        return self.head.keep_alive and not self.app.is_draining and (self.is_body_over or self._skip_body())

    def _skip_body(self) -> bool:
        """Throw away an unread body that is here already. False where bytes of it are still to come."""
        if self._reading or self.length == 0 or len(self._buffer) < self.length:
            return False
        self._buffer = self._buffer[self.length :]
        self.is_body_over = True
        return True

    def done(self) -> None:
        """The call is over and its answer written whole; the next request may be waiting."""
        keep = not self.is_closed and self.keeps_alive
        self.call = None
        self._release_body()
        self.body = b""
        self._body_seen = 0
        self.since_s = 0
        if self.is_closed or self.transport.is_closing():
            return
        if not keep:
            self.linger()
            return
        self._unpause()
        if self._buffer:
            self._loop.call_soon(self._next)  # not by recursion: a client may pipeline thousands

    def abort(self) -> None:
        """Cut the connection, so that a half-written answer cannot pass for a whole one."""
        self.call = None
        self.transport.abort()

    def refuse(self, why: Malformed) -> None:
        """Answer a request that broke the grammar; where the next one begins is unknown, so close."""
        self.transport.write(self.app.refuse(self, why))
        self.linger()

    def linger(self) -> None:
        """Send FIN, then read to the client's EOF or for a second: closing at once could take the answer back (RST)."""
        if self.is_closed or isinstance(self.transport.get_protocol(), _Lingering):
            return
        self.transport.set_protocol(_Lingering(self))
        self._unpause()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._loop.call_later(LINGER_S, self.transport.abort)

    def _next(self) -> None:
        if self.call is None and not self.is_closed and self._buffer:
            self.data_received(b"")

    def _unpause(self) -> None:
        if self.is_in_paused and not self.is_closed:
            self.is_in_paused = False
            self.transport.resume_reading()

    def sweep(self) -> None:
        """Once a second: end what has stood still for too long."""
        self.since_s += 1
        if self.call is None:
            if self.since_s >= (HEAD_S_MAX if self._buffer else IDLE_S_MAX) or self.app.closes_idle:
                self.transport.close()
        elif (self._reading or self.is_out_paused) and self.since_s >= STALLED_S_MAX:
            self.transport.abort()


class LongBody(asyncio.BufferedProtocol):
    """Receives a long body straight into one buffer, then hands back to its Connection."""

    def __init__(self, connection: Connection, first: bytes, length: int) -> None:
        self._connection = connection
        self._buffer = bytearray(length)
        self._buffer[: len(first)] = first
        self._view = memoryview(self._buffer)
        self._at = len(first)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        connection = self._connection
        connection.since_s = 0
        self._at += nbytes
        if self._at < len(self._buffer):
            return
        self._view.release()
        connection.transport.set_protocol(connection)
        connection.body = self._buffer
        connection.is_body_over = True
        if connection.call is not None:
            connection.call.body_ready()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)


class _Lingering(asyncio.Protocol):
    """Reads and forgets, until the client's EOF."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)


def _parse_cached(data: bytes, end: int) -> tuple[RequestHead, bytes | None]:
    """The head that ends at END. A client repeats its head but for the digits of the length, so the parse is kept."""
    start = data.find(b"\r\nContent-Length: ", 0, end)
    if start < 0:
        start = data.find(b"\r\ncontent-length: ", 0, end)
    if start < 0 or end > HEAD_CACHE_BYTES_MAX:
        return parse_request(data[: end + 2])
    stop = data.find(b"\r\n", start + 18)
    digits = data[start + 18 : stop].strip(b" \t")
    signature = data[:start] + data[stop:end]
    head = _heads.get(signature)
    if head is None:
        head, length = parse_request(data[: end + 2])
        if len(_heads) >= HEAD_CACHE_MAX:
            _heads.clear()
        _heads[signature] = head
        return head, length
    if is_length(digits) is None:
        raise Malformed(400, "bad content-length")
    return head, digits
