"""The upstream's side of the HTTP plane: one connection carries one call at a time; its answer is collected or relayed.

A plain answer is gathered whole and wakes the call once. A stream of events wakes it at the first whole event, is held
until the call says `relay` (so it may still go elsewhere), and then passes from read to write. Only whole events pass,
as whole chunks, so the call can end a broken stream in-band at any moment.
"""

import asyncio
import zlib
from collections import deque
from enum import Enum, auto
from typing import Protocol, cast

from hypereal.net.http1 import (
    HEAD_BYTES_MAX,
    AnswerHead,
    ChunkWalker,
    Malformed,
    chunk,
    dechunk,
    parse_answer,
)
from hypereal.net.sse import EventAssembler, EventTooLong

COLLECT_BYTES_MAX = 64 * 1024 * 1024
HELD_BYTES_MAX = 1024 * 1024
TAIL_BYTES_MAX = 64 * 1024
TAIL_READS_MIN = 3
FIRST_BYTES = 1024
LAST_BYTES = 4096
WRITE_AT_ONCE_BYTES = 64 * 1024


class UpstreamLost(Exception):
    """The connection or its grammar broke.

    `is_stale`: a reused connection died before a byte of the answer came, which happens when the upstream closed it
    while idle; the request may be sent again at once. `is_timeout`: the upstream was silent for too long.
    """

    def __init__(self, why: str, *, is_stale: bool = False, is_timeout: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_stale = is_stale
        self.is_timeout = is_timeout


class Caller(Protocol):
    """What an upstream tells the call that uses it."""

    def wake(self) -> None:
        """The answer is there (whole, or its first event), or the relay is over."""

    def fail(self, why: Exception) -> None:
        """The answer will not come, or was cut."""

    def pause_body(self) -> None:
        """The upstream reads slower than the request's body is written to it."""

    def resume_body(self) -> None:
        """It caught up."""


class Rewriter(Protocol):
    """Changes the end of a relayed stream; sees only what it asked for."""

    is_active: bool

    def wants(self, data: bytes) -> bool:
        """Whether DATA, a read of whole events in their chunks, has something to rewrite."""

    def feed(self, events: bytes) -> bytes:
        """Whole events in, whole events out; may hold some back."""

    def end(self) -> bytes:
        """What was held back."""


class Owner(Protocol):
    """Where a connection goes back to: its pool."""

    def put(self, upstream: "Upstream") -> None:
        """It is idle again."""

    def closed(self, upstream: "Upstream") -> None:
        """It is no more."""


class _State(Enum):
    IDLE = auto()
    HEAD = auto()
    COLLECT = auto()
    EVENTS = auto()
    BYTES = auto()


class Upstream(asyncio.Protocol):
    """One connection to an upstream. It belongs to its call from `send` to `give_back`."""

    __slots__ = (
        "_assembler",
        "_buffer",
        "_call",
        "_decoder",
        "_has_body",
        "_is_paused",
        "_is_relaying",
        "_is_reused",
        "_left",
        "_out",
        "_owner",
        "_parts",
        "_rewriter",
        "_size_bytes",
        "_state",
        "_streams",
        "_walker",
        "_was_woken",
        "first",
        "head",
        "is_closed",
        "is_done",
        "is_stream",
        "relayed_bytes",
        "silent_s",
        "tail",
        "tail_bytes",
        "transport",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.transport: asyncio.Transport
        self.is_closed = False
        self._is_reused = False
        self._state = _State.IDLE
        self._call: Caller | None = None
        self._buffer = b""
        self._walker = ChunkWalker()
        self._assembler = EventAssembler()
        self._reset()

    def _reset(self) -> None:
        self.head: AnswerHead | None = None
        self.is_done = False
        """Whether the answer has come to its end."""
        self.first = b""
        """The payload of a stream's first events: FIRST_BYTES and what it takes to end on a whole one."""
        self.tail: deque[bytes] = deque()
        """The last reads of a stream, each of whole events in whole chunks; bounded in bytes."""
        self.tail_bytes = 0
        self.relayed_bytes = 0
        """Bytes of the stream so far, chunk framing included."""
        self.silent_s = 0
        """Sweeps since a byte came."""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._left = -1
        self._out: asyncio.Transport | None = None
        self._streams = False
        self._has_body = True
        self.is_stream = False
        """Whether the answer is a stream of events; else it is collected."""
        self._is_relaying = False
        self._is_paused = False
        self._was_woken = False
        self._rewriter: Rewriter | None = None
        self._decoder: zlib._Decompress | None = None

    # -- asyncio's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self.silent_s = 0
        try:
            match self._state:
                case _State.EVENTS:
                    self._take_events(data)
                case _State.HEAD:
                    self._take_head(data)
                case _State.COLLECT:
                    self._collect(data)
                case _State.BYTES:
                    self._pass(data)
                case _State.IDLE:
                    self.transport.abort()  # bytes nobody asked for: what follows could be taken for another's answer
        except Malformed as error:
            self.lose(error.why)
        except EventTooLong:
            self.lose("an event is too long")
        except zlib.error:
            self.lose("bad content-encoding")

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        if self._call is not None:
            self._call.pause_body()

    def resume_writing(self) -> None:
        if self._call is not None:
            self._call.resume_body()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._owner.closed(self)
        call = self._call
        if call is None:
            return
        if exc is None and self._ends_at_close():
            try:
                self._finish()
            except Malformed as error:
                self._call = None
                call.fail(UpstreamLost(error.why))
            return
        self._call = None
        is_stale = self._is_reused and self._state is _State.HEAD and not self._buffer
        call.fail(UpstreamLost("the upstream closed the connection", is_stale=is_stale))

    def _ends_at_close(self) -> bool:
        head = self.head
        return head is not None and self._state is not _State.HEAD and head.length < 0 and not head.is_chunked

    # -- the request -----------------------------------------------------------------------------------------------

    def send(self, call: Caller, head: bytes, body: bytes = b"") -> None:
        """Send HEAD (complete, with its empty line) and BODY. The answer is collected, or held as events."""
        self._reset()
        self._call = call
        self._state = _State.HEAD
        if len(body) > WRITE_AT_ONCE_BYTES:
            self.transport.writelines((head, body))
        else:
            self.transport.write(head + body)

    def send_streaming(self, call: Caller, head: bytes, *, has_answer_body: bool) -> None:
        """Send HEAD; the call writes the body to `transport`, and takes whatever answer comes by `relay_bytes`.

        HAS_ANSWER_BODY False: the answer to a HEAD request, which has none whatever its head says.
        """
        self.send(call, head)
        self._streams = True
        self._has_body = has_answer_body

    # -- the answer ------------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_BYTES_MAX:
                raise Malformed(502, "answer head too long")
            self._buffer = data
            return
        head = parse_answer(data[: end + 2])
        rest = data[end + 4 :]
        if head.status < 200:  # interim answers are not for us
            if head.status == 101:
                raise Malformed(502, "the upstream switched protocols")
            self._take_head(rest)
            return
        self._begin_answer(head, rest)

    def _begin_answer(self, head: AnswerHead, rest: bytes) -> None:
        self.head = head
        self._walker.left, self._walker.part = 0, b""
        self._assembler.flush()
        self._left = head.length
        if head.content_encoding in (b"gzip", b"x-gzip", b"deflate"):
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
        if self._streams:
            if not self._has_body:
                self._left, head.is_chunked = 0, False
            self._state = _State.BYTES
            self._wake_once()
            if rest or not self._left:
                self._pass(rest)
        elif head.is_sse:
            self.is_stream = True
            self._state = _State.EVENTS
            if rest or not self._left:
                self._take_events(rest)
        else:
            self._state = _State.COLLECT
            self._collect(rest)

    def _payload(self, data: bytes) -> tuple[bytes, bool]:
        """The payload of one read, and whether the message is whole. Bytes after its end spoil the connection."""
        assert self.head is not None
        if self.head.is_chunked:
            parts: list[bytes] = []
            end = self._walker.walk(data, parts)
            payload, is_over = b"".join(parts), end >= 0
            if is_over and end < len(data):
                self.head.keep_alive = False
        elif self._left >= 0:
            payload = data[: self._left]
            if len(data) > self._left:
                self.head.keep_alive = False
            self._left -= len(payload)
            is_over = not self._left
        else:
            payload, is_over = data, False
        if self._decoder is not None:
            payload = self._decoder.decompress(payload, COLLECT_BYTES_MAX)
        return payload, is_over

    def _collect(self, data: bytes) -> None:
        payload, is_over = self._payload(data)
        self._parts.append(payload)
        self._size_bytes += len(payload)
        if self._size_bytes > COLLECT_BYTES_MAX:
            raise Malformed(502, "the answer is too large")
        if is_over:
            self._finish()

    def _take_events(self, data: bytes) -> None:
        """Whole events in whole chunks pass as they came; what a read cut is gathered first."""
        walker, rewriter = self._walker, self._rewriter
        if (
            self._assembler.is_empty
            and not walker.left
            and not walker.part
            and self._decoder is None
            and (rewriter is None or not (rewriter.is_active or rewriter.wants(data)))
            and (data[-4:] == b"\n\n\r\n" or data[-9:] == b"\n\n\r\n0\r\n\r\n")
            and self.head is not None
            and self.head.is_chunked
        ):
            end = walker.walk(data)
            if end == len(data):
                self._emit(data[:-5])
                self._finish()
                return
            if end < 0 and not walker.left and not walker.part:
                self._emit(data)
                return
            walker.left, walker.part = 0, b""
        payload, is_over = self._payload(data)
        events = self._assembler.feed(payload)
        if events:
            self._emit(chunk(events), events)
        if is_over:
            self._finish()

    def _emit(self, framed: bytes, events: bytes | None = None) -> None:
        """Whole events have come: keep them, and pass them on once the call relays. EVENTS: they, if known unframed."""
        if not framed:
            return
        self.tail.append(framed)
        self.tail_bytes += len(framed)
        self.relayed_bytes += len(framed)
        if len(self.first) < FIRST_BYTES:
            end = framed.find(b"\n\n\r\n", FIRST_BYTES)
            self.first += dechunk(framed[: end + 4] if end > 0 else framed)
        if self._is_relaying:
            self._write(framed, events)
            while self.tail_bytes > TAIL_BYTES_MAX and len(self.tail) > TAIL_READS_MIN:
                self.tail_bytes -= len(self.tail.popleft())
            return
        if self.tail_bytes > COLLECT_BYTES_MAX:
            raise Malformed(502, "the answer is too large")
        if self.tail_bytes > HELD_BYTES_MAX and not self._was_woken:
            self.pause()
        self._wake_once()

    def _write(self, framed: bytes, events: bytes | None) -> None:
        assert self._out is not None
        if self._rewriter is None or events is None:
            self._out.write(framed)
            return
        rewritten = self._rewriter.feed(events)
        if rewritten:
            self._out.write(chunk(rewritten))

    def _pass(self, data: bytes) -> None:
        """Relay as bytes: the framing of the answer is kept, its end found."""
        assert self.head is not None
        over = False
        if self.head.is_chunked:
            end = self._walker.walk(data)
            over = end >= 0
            if over and end < len(data):
                self.head.keep_alive = False
                data = data[:end]
        elif self._left >= 0:
            if len(data) > self._left:
                self.head.keep_alive = False
                data = data[: self._left]
            self._left -= len(data)
            over = not self._left
        elif data:
            data = chunk(data)
        if self._out is not None:
            self._out.write(data)
        else:
            self._parts.append(data)
            self._size_bytes += len(data)
            if self._size_bytes > HELD_BYTES_MAX:
                self.pause()
        if over:
            self._finish()

    # -- the call's side -------------------------------------------------------------------------------------------

    def whole(self) -> bytes:
        """The body of a collected answer."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def last_events(self) -> bytes:
        """The payload of the last few events: LAST_BYTES and what it takes to begin with a whole one."""
        parts: list[bytes] = []
        size_bytes = 0
        for framed in reversed(self.tail):
            if len(framed) > 2 * LAST_BYTES:
                start = framed.rfind(b"\n\n\r\n", 0, len(framed) - LAST_BYTES)
                framed = framed[start + 4 :] if start >= 0 else framed
            parts.append(framed)
            size_bytes += len(framed)
            if size_bytes >= LAST_BYTES:
                break
        return dechunk(b"".join(reversed(parts)))

    def events(self) -> bytes:
        """The payload of the events that `tail` holds: all of them until `relay` begins."""
        return dechunk(b"".join(self.tail))

    def relay(self, out: asyncio.Transport, head: bytes, rewriter: Rewriter | None = None) -> None:
        """Write HEAD and every event, held and to come, to OUT as chunks; wakes the call at the end (see `is_done`).

        The last chunk is not written: the call settles first.
        """
        held = b"".join(self.tail)
        self._out = out
        self._is_relaying = True
        self._rewriter = rewriter
        if rewriter is not None and rewriter.wants(held):
            events = rewriter.feed(dechunk(held))
            if self.is_done:
                events += rewriter.end()
            held = chunk(events) if events else b""
        out.write(head + held)
        self.resume()

    def relay_bytes(self, out: asyncio.Transport, head: bytes) -> None:
        """Write HEAD and the rest of the answer to OUT with its own framing; wakes the call at the end."""
        self._out = out
        out.write(head + b"".join(self._parts))
        self._parts = []
        if self.is_done:
            return
        self.resume()

    def gather(self) -> None:
        """Keep holding events until the stream ends; wakes the call then."""
        self._was_woken = True
        self.resume()

    def _wake_once(self) -> None:
        if not self._was_woken and self._call is not None:
            self._was_woken = True
            self._call.wake()

    def _finish(self) -> None:
        """The answer is whole; the connection stays the call's own until `give_back`."""
        call, self._call = self._call, None
        if self._state is _State.EVENTS:
            self._end_events()
        elif self._state is _State.BYTES and self._out is not None and self._ends_at_close():
            self._out.write(b"0\r\n\r\n")
        self.is_done = True
        self._state = _State.IDLE
        self.resume()
        if call is not None:
            call.wake()

    def _end_events(self) -> None:
        """An event without its blank line still counts, and the rewriter lets go of what it held."""
        rest = self._assembler.flush()
        if rest.strip():
            self._emit(chunk(rest + b"\n\n"), rest + b"\n\n")
        if self._is_relaying and self._rewriter is not None:
            ending = self._rewriter.end()
            if ending:
                assert self._out is not None
                self._out.write(chunk(ending))

    def give_back(self) -> None:
        """The call has read what it wanted: another may have the connection. Before the answer's end, it is closed."""
        self._call = None
        self._out = None
        head = self.head
        if self.is_closed:
            return
        if not self.is_done:
            self.transport.abort()  # so that the upstream stops working
        elif head is None or not head.keep_alive or self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self._reset()
            self._is_reused = True
            self._owner.put(self)

    def pause(self) -> None:
        """Stop reading: the client is slower than the upstream."""
        if not self._is_paused and not self.is_closed:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._is_paused:
            self._is_paused = False
            if not self.is_closed:
                self.transport.resume_reading()

    def lose(self, why: str, *, is_timeout: bool = False) -> None:
        """Cut the connection and tell the call."""
        call, self._call = self._call, None
        self.transport.abort()
        if call is not None:
            call.fail(UpstreamLost(why, is_timeout=is_timeout))
