"""The client's side of the HTTP plane: one `Connection` reads requests one at a time and hands each head to the app.

The body is read when the call asks for it (`read_body`, `stream_body`): who calls is known before it costs anything.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from hypereal.net.bodies import LongBody, budget
from hypereal.net.heads import parse_cached
from hypereal.net.http1 import CONTINUE, HEAD_BYTES_MAX, ChunkWalker, Malformed, RequestHead
from hypereal.net.outbox import outbox_of, turn

WRITE_BYTES_HIGH: Final = 256 * 1024
PIPELINED_BYTES_MAX: Final = HEAD_BYTES_MAX
"""Not less: a head that waits its turn must fit."""
LONG_BODY_BYTES: Final = 64 * 1024
EMPTY_LINES_MAX: Final = 4
HEAD_S_MAX: Final = 10
"""From the first byte of a head to its last."""
BODY_S_MAX: Final = 600
"""For a body that is gathered, since it holds memory others wait for; a streamed one may take as long as it moves."""
IDLE_S_MAX: Final = 120
STALLED_S_MAX: Final = 60
LINGER_S: Final = 2
"""Sweeps, so one second at the least."""
DRAINING_S: Final = 2
"""How long an idle client is still answered, with `connection: close`, once the process drains."""

Body = bytes | bytearray


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

    def begin(self, connection: "Connection", head: RequestHead) -> None:
        """Start the call of HEAD: set `connection.call` before it returns, or finish it with `done`."""

    def refuse(self, connection: "Connection", why: Malformed) -> bytes:
        """The whole answer, head and body, to a request that broke the grammar; the connection closes after it."""


class Connection(asyncio.Protocol):
    """One client connection: requests in, answers out, in order."""

    __slots__ = (
        "_body_bytes_max",
        "_body_left",
        "_body_s",
        "_buffer",
        "_gathered",
        "_held_bytes",
        "_is_draining",
        "_is_lingering",
        "_is_waiting",
        "_loop",
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
        """Sweeps since this connection last moved; for a head, since its first byte."""
        self._buffer = b""
        self._reading = False
        self._sink: Callable[[bytes], None] | None = None
        self._gathered = bytearray()
        self._body_left = 0
        self._body_s = 0
        self._held_bytes = 0
        """Of the process's budget for bodies."""
        self._is_waiting = False
        """Whether the body waits for the budget."""
        self._is_lingering = False
        self._is_draining = False
        self._body_bytes_max = app.body_bytes_max
        self._walker: ChunkWalker | None = None

    # -- asyncio's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = outbox_of(transport)
        self.transport.set_write_buffer_limits(WRITE_BYTES_HIGH)
        self.app.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self.app.connections.discard(self)
        self._is_waiting = False
        self._release_body()
        call, self.call = self.call, None
        if call is not None:
            call.client_gone()

    def eof_received(self) -> bool:
        turn.send()  # what this client was answered in the turn that it ends in
        return False

    def pause_writing(self) -> None:
        self.is_out_paused = True
        self.since_s = 0
        if self.call is not None:
            self.call.pause()

    def resume_writing(self) -> None:
        self.is_out_paused = False
        self.since_s = 0
        if self.call is not None:
            self.call.resume()
        elif self._buffer:
            self._loop.call_soon(self._next)

    def data_received(self, data: bytes) -> None:
        if self._reading:
            self.since_s = 0
            self._take_body(data)
        elif self.call is not None or self.is_out_paused:
            # a client that does not read its answers gets no further ones
            self._buffer += data
            if len(self._buffer) > PIPELINED_BYTES_MAX:
                self.pause_body()
        else:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            else:
                self.since_s = 0
            self._take_head(data)

    # -- heads -----------------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        try:
            if data[:1] == b"\r":
                data = _without_empty_lines(data)
            end = data.find(b"\r\n\r\n")
            if (end if end >= 0 else len(data)) > HEAD_BYTES_MAX:
                raise Malformed(431, "request head too long")
            if end < 0:
                if b"\n\n" in data:
                    raise Malformed(400, "lines end in CR LF")
                self._buffer = data
                return
            head, self.length = parse_cached(data, end)
        except Malformed as why:
            self.refuse(why)
            return
        self.head = head
        rest = data[end + 4 :]
        if len(rest) == self.length <= LONG_BODY_BYTES and not head.is_chunked:  # the whole of an ordinary request
            self.body, self._buffer, self.is_body_over = rest, b"", True
        else:
            self._buffer, self.is_body_over = rest, not self.length and not head.is_chunked
        self.app.begin(self, head)
        if len(self._buffer) > PIPELINED_BYTES_MAX:
            self.pause_body()

    # -- bodies ----------------------------------------------------------------------------------------------------

    def read_body(self) -> bool:
        """Gather the body. True: `body` is whole now; False: `call.body_ready` or `body_failed` will be called.

        Raises Malformed (413, 400).
        """
        assert self.head is not None
        if self.length > self._body_bytes_max:
            raise Malformed(413, f"the body is over {self._body_bytes_max} bytes")
        if self.is_body_over:
            return True
        if not self.head.is_chunked and len(self._buffer) >= self.length:
            self._take_whole()
            return True
        # a chunked body does not say its length: as much is reserved as it may have
        size_bytes = self._body_bytes_max if self.head.is_chunked else self.length
        if not budget.take(size_bytes, self._room_came):
            self._is_waiting = True
            self.pause_body()
            return False
        self._held_bytes = size_bytes
        return self._feed(self._start_reading())

    def stream_body(self, sink: Callable[[bytes], None]) -> None:
        """Hand the body to SINK piece by piece as it comes; the last piece is b''. No bound but the sink's own.

        Raises Malformed; where that happens later, `call.body_failed` is called.
        """
        if self.is_body_over:
            if self.body:
                sink(bytes(self.body))
            sink(b"")
            return
        self._sink = sink
        self._feed(self._start_reading())

    def pause_body(self) -> None:
        """Stop reading from the client."""
        if not self.is_in_paused and not self.is_closed:
            self.is_in_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        """Read again."""
        if self.is_in_paused:
            self.is_in_paused = False
            self.since_s = 0
            if not self.is_closed:
                self.transport.resume_reading()

    def hold_more(self, size_bytes: int) -> bool:
        """Count SIZE_BYTES beside the body, as if they had come with it. False where the process holds too many."""
        has_room = budget.take_now(size_bytes)
        if has_room:
            self._held_bytes += size_bytes
        return has_room

    def drop_body(self) -> None:
        """The call needs its body no more: its bytes may be freed."""
        self.body = b""
        self._release_body()

    def long_body_over(self, body: bytearray) -> None:
        """`LongBody` has all of it."""
        self.transport.set_protocol(self)
        self._reading = False
        self.is_body_over = True
        self.body = body
        if self.call is not None:
            self.call.body_ready()

    def _take_whole(self) -> None:
        """The body came with its head. What is in memory already is counted where it is long, but does not wait."""
        if self.length > LONG_BODY_BYTES:
            self._held_bytes = self.length
            budget.bytes_held += self.length
        self.body, self._buffer = self._buffer[: self.length], self._buffer[self.length :]
        self.is_body_over = True

    def _room_came(self) -> bool:
        if not self._is_waiting:
            return False
        assert self.head is not None
        self._is_waiting = False
        self._held_bytes = self._body_bytes_max if self.head.is_chunked else self.length
        self._loop.call_soon(self._read_on)
        return True

    def _read_on(self) -> None:
        if self._held_bytes:  # else the call has ended meanwhile
            self._take_body(self._start_reading())

    def _start_reading(self) -> bytes:
        """Read the body from here on; returns what of it is here and not yet taken."""
        assert self.head is not None
        first, self._buffer = self._buffer, b""
        if self.head.expects_continue and not first:
            self.transport.write(CONTINUE)
        self._reading = True
        self._body_left, self._body_s, self.since_s = self.length, 0, 0
        self._walker = ChunkWalker() if self.head.is_chunked else None
        self.resume_body()
        if self._sink is None and self.length - len(first) > LONG_BODY_BYTES:
            self.transport.set_protocol(LongBody(self, first, self.length))
            return b""
        return first

    def _take_body(self, data: bytes) -> None:
        """As `_feed`, outside the call: it is told."""
        is_gathered = self._sink is None
        try:
            is_over = self._feed(data)
        except Malformed as why:
            if self.call is not None:
                self.call.body_failed(why)
            return
        if is_over and is_gathered and self.call is not None:
            self.call.body_ready()

    def _feed(self, data: bytes) -> bool:
        """Take a piece of the message; is the body whole? Raises Malformed, after which nothing more is read."""
        try:
            is_over = self._walk(data) if self._walker is not None else self._count(data)
        except Malformed:
            self._reading = False
            raise
        if is_over:
            self._reading = False
            self.is_body_over = True
            if self._sink is not None:
                sink, self._sink = self._sink, None
                sink(b"")
            else:
                self.body, self._gathered = self._gathered, bytearray()
                spare = self._held_bytes - len(self.body)
                self._held_bytes = len(self.body)
                budget.give_back(spare)
        return is_over

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
        self._put(b"".join(payload))
        if end < 0:
            return False
        self._buffer = data[end:]
        return True

    def _put(self, piece: bytes) -> None:
        if not piece:
            return
        if self._sink is not None:
            self._sink(piece)
        elif len(self._gathered) + len(piece) > self._body_bytes_max:
            raise Malformed(413, f"the body is over {self._body_bytes_max} bytes")
        else:
            self._gathered += piece

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
        self.body = b""
        self.since_s = 0
        if self._held_bytes:
            self._release_body()
        if self.is_closed:
            return
        if not keep:
            self.linger()
            return
        if self.is_in_paused and len(self._buffer) <= PIPELINED_BYTES_MAX:
            self.resume_body()
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
        """Send FIN, then read to the client's EOF or for LINGER_S: closing at once could take the answer back (RST)."""
        self._is_waiting = False
        if self._is_lingering or self.is_closed or self.transport.is_closing():
            return
        self._is_lingering = True
        self._reading = False
        self._sink = None
        self._buffer = b""
        self._gathered = bytearray()
        self.since_s = 0
        self.transport.set_protocol(_Lingering(self))
        self.resume_body()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _next(self) -> None:
        if self.call is None and self._buffer and not self.transport.is_closing():
            self.data_received(b"")

    def sweep(self) -> None:
        """Once a second: end what has stood still for too long."""
        self.since_s += 1
        if self._is_lingering:
            limit_s = STALLED_S_MAX if self.transport.get_write_buffer_size() else LINGER_S
        elif self.is_out_paused or (self._reading and not self.is_in_paused):
            limit_s = STALLED_S_MAX
            self._sweep_body()
        elif self.call is not None:
            return
        elif self._buffer:
            limit_s = HEAD_S_MAX
        else:
            limit_s = self._idle_s_max()
        if self.since_s >= limit_s:
            self.transport.abort()

    def _sweep_body(self) -> None:
        self._body_s += 1
        if self._reading and self._sink is None and self._body_s >= BODY_S_MAX:
            self.transport.abort()

    def _idle_s_max(self) -> int:
        if not self.app.is_draining:
            return IDLE_S_MAX
        if not self._is_draining:
            self._is_draining = True
            self.since_s = 0
        return DRAINING_S


class _Lingering(asyncio.Protocol):
    """Reads and forgets, until the client's EOF."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)


def _without_empty_lines(data: bytes) -> bytes:
    """RFC 9112 2.2: empty lines before a request are skipped."""
    for _ in range(EMPTY_LINES_MAX):
        if data[:2] != b"\r\n":
            break
        data = data[2:]
    return data
