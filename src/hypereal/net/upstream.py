"""The upstream's side of the HTTP plane: one connection carries one call at a time; its answer is collected or relayed.

A plain answer is gathered whole and wakes the call once. A stream of events wakes it at the first whole event (after
`hold` at the next), is held until the call says `relay`, so it may still go elsewhere, then passes from read to write.
Only whole events pass, as whole chunks, so the call can end a broken stream in-band at any moment.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from typing import Final

from hypereal.net import sse
from hypereal.net.answer_body import AnswerBody
from hypereal.net.http1 import (
    LAST_CHUNK,
    AnswerHead,
    Malformed,
    chunk,
    dechunk,
    first_answer,
    lone_starts,
)
from hypereal.net.outbox import AT_ONCE_BYTES, outbox_of, turn
from hypereal.net.roles import Caller, Owner, Rewriter, Source, UpstreamLost
from hypereal.net.sse import CHUNK_ENDS, EVENT_ENDS, EVENT_START_BYTES_MAX, EVENT_STARTS, EventAssembler, EventTooLong

COLLECT_BYTES_MAX: Final = 64 * 1024 * 1024
HELD_BYTES_MAX: Final = 1024 * 1024
TAIL_BYTES_MAX: Final = 64 * 1024
TAIL_READS_MIN: Final = 3
FIRST_BYTES: Final = 256
LAST_BYTES: Final = 1024
SPLIT_BYTES_MIN: Final = 4096
"""A longer read is taken in two, where little goes on: a busy process saves itself the second write."""
RECENT_BYTES_MAX: Final = 2048


class Upstream(asyncio.Protocol):
    """One connection to an upstream. It belongs to its call from `send` to `give_back`."""

    __slots__ = (
        "_assembler",
        "_body",
        "_buffer",
        "_call",
        "_direct",
        "_ending",
        "_has_answer_body",
        "_is_gathering",
        "_is_paused",
        "_is_reused",
        "_looks",
        "_out",
        "_owner",
        "_parts",
        "_rewriter",
        "_size_bytes",
        "_streams",
        "_swept_bytes",
        "_take",
        "_was_woken",
        "dropped_bytes",
        "first",
        "head",
        "is_closed",
        "is_done",
        "is_relaying",
        "is_stream",
        "silent_s",
        "source",
        "tail",
        "tail_bytes",
        "transport",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.transport: asyncio.Transport
        self.is_closed = False
        self._is_reused = False
        """Whether it served a call before and has not said a byte to this one."""
        self._take: Callable[[Upstream, bytes], None] = Upstream._take_unasked
        """What is done with the next read."""
        self._call: Caller | None = None
        self._buffer = b""
        self._body: AnswerBody
        self._assembler = EventAssembler()
        self.head: AnswerHead | None = None
        self.is_done = False
        """Whether the answer has come to its end."""
        self.silent_s = 0
        """Sweeps since a byte came."""
        self._was_woken = False
        self._streams = False
        self._has_answer_body = True
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._forget_stream()

    def _forget_stream(self) -> None:
        self.is_stream = False
        """Whether the answer is a stream of events; else it is collected."""
        self.first = b""
        """The payload of a stream's first events: FIRST_BYTES and what it takes to end on a whole one."""
        self.tail: deque[bytes] = deque()
        """The last reads of a stream, each of whole events in whole chunks; bounded in bytes."""
        self.tail_bytes = 0
        self.dropped_bytes = 0
        """Bytes of the stream, chunk framing included, that `tail` has let go of."""
        self.source: Source | None = None
        """What streams the request body, where it did not come with `send`: held back while the upstream is slow."""
        self._out: asyncio.Transport | None = None
        self._direct: asyncio.Transport | None = None
        """`_out`, while all that came was passed on as it came: between two events, with nothing left to notice."""
        self.is_relaying = False
        """Whether events go to the client as they come."""
        self._is_gathering = False
        self._is_paused = False
        self._looks = 0
        """How often `newest` was asked."""
        self._swept_bytes = 0
        """Of the stream, when `recent` was asked last."""
        self._rewriter: Rewriter | None = None
        self._ending = b""
        """The last events, where the whole stream was there before it was relayed and a rewriter took its end."""

    # -- asyncio's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = outbox_of(transport)

    def data_received(self, data: bytes) -> None:
        self.silent_s = 0
        direct = self._direct
        if direct is not None:
            size_bytes = len(data)
            if (
                data.startswith(lone_starts(size_bytes, ()))
                and data.endswith(EVENT_ENDS)
                and ((rewriter := self._rewriter) is None or not rewriter.wants(data))
            ):
                direct.write(data)
                self.tail.append(data)
                self.tail_bytes += size_bytes
                if self.tail_bytes > TAIL_BYTES_MAX:
                    self._let_go()
                return
            self._direct = None
        try:
            self._take(self, data)
        except Malformed as error:
            self.lose(error.why)
        except EventTooLong:
            self.lose("an event is too long")
        except zlib.error:
            self.lose("bad content-encoding")

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        if self.source is not None:
            self.source.pause_body()

    def resume_writing(self) -> None:
        if self.source is not None:
            self.source.resume_body()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._owner.closed(self)
        if self._call is None:
            return
        if exc is None and self.head is not None and self._body.ends_at_close:
            try:
                self._finish()
            except Malformed as error:
                self._fail(UpstreamLost(error.why))
        else:
            self._fail(UpstreamLost("the upstream closed the connection", is_stale=self._is_reused))

    def _take_unasked(self, _: bytes) -> None:
        """Bytes nobody asked for: what follows could be taken for another call's answer."""
        self.transport.abort()

    # -- the request -----------------------------------------------------------------------------------------------

    def send(
        self, call: Caller, head: bytes, body: bytes, *, streams: bool = False, is_head_request: bool = False
    ) -> None:
        """Send HEAD (complete, with its empty line) and BODY. STREAMS: relay any answer as bytes (`relay_bytes`).

        IS_HEAD_REQUEST: the answer has no body, whatever its head says.
        """
        self._call = call
        self._take = Upstream._take_head
        self.head = None
        self.is_done = self._was_woken = False
        self.silent_s = 0
        self._streams = streams
        self._has_answer_body = not is_head_request
        if len(body) > AT_ONCE_BYTES:
            self.transport.writelines((head, body))
        else:
            self.transport.write(head + body)

    # -- the answer ------------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        self._is_reused = False
        head, rest = first_answer(self._buffer + data)
        if head is None:
            self._buffer = rest
        else:
            self._buffer = b""
            self._begin_answer(head, rest)

    def _begin_answer(self, head: AnswerHead, rest: bytes) -> None:
        self.head = head
        if (
            len(rest) == head.length
            and rest[:1] == b"{"
            and not (self._streams or head.content_encoding or head.is_sse)
        ):
            self._parts.append(rest)
            self._finish()
            return
        self._body = AnswerBody(head)
        if self._streams:
            self._take = Upstream._pass
            self._wake_once()
            if not self._has_answer_body:
                head.keep_alive = head.keep_alive and not rest
                self._finish()
            elif rest or not head.length:
                self._pass(rest)
        elif head.is_sse:
            self._begin_stream()
            if rest or not head.length:
                self._take_events(rest)
        else:
            self._take = Upstream._collect
            self._collect(rest)

    def _begin_stream(self) -> None:
        self.is_stream = True
        self._take = Upstream._take_events
        self._assembler.flush()

    def _collect(self, data: bytes) -> None:
        payload, is_over = self._body.payload(data)
        if self._size_bytes < EVENT_START_BYTES_MAX and (self.whole() + payload).startswith(EVENT_STARTS):
            self._begin_stream()  # whatever its head calls it
            payload, self._parts = self.whole() + payload, []
            self._take_payload(payload, is_over)
            return
        self._parts.append(payload)
        self._size_bytes += len(payload)
        if self._size_bytes > COLLECT_BYTES_MAX:
            raise Malformed(502, "the answer is too large")
        if is_over:
            self._finish()

    def _take_events(self, data: bytes) -> None:
        """A long read is taken in two, as if it had come so: the first events go out before the rest is looked at."""
        if len(data) > SPLIT_BYTES_MIN and self._body.is_plain_chunks and not (self.is_relaying or turn.is_busy):
            end = sse.first_end(data, FIRST_BYTES)
            self._take_read(data[:end])
            data = data[end:]
            if not data or self._call is None:
                return
        self._take_read(data)

    def _take_read(self, data: bytes) -> None:
        """Whole events in whole chunks pass as they came; what a read cut is gathered first."""
        end = self._body.pass_chunks(data) if data.endswith(CHUNK_ENDS) and self._assembler.is_empty else 0
        if not end:
            self._take_payload(*self._body.payload(data))
        elif end == len(data):
            self._emit(data)
            if self.is_relaying and len(self.first) >= FIRST_BYTES:
                rewriter = self._rewriter
                self._direct = self._out if rewriter is None or not rewriter.is_active else None
        else:
            self._was_woken = True  # as below
            self._emit(data[:end])
            self._finish()

    def _take_payload(self, payload: bytes, is_over: bool) -> None:
        self._was_woken |= is_over  # the end wakes the call, with all that came before it
        events = self._assembler.feed(payload)
        if events:
            self._emit(chunk(events))
        if is_over:
            self._finish()

    def _emit(self, framed: bytes) -> None:
        """Whole events have come, in whole chunks: keep them, and pass them on once the call relays."""
        self.tail.append(framed)
        self.tail_bytes += len(framed)
        if len(self.first) < FIRST_BYTES:
            self.first += dechunk(framed[: sse.first_end(framed, FIRST_BYTES)])
        if not self.is_relaying:
            self._keep(framed)
            return
        rewriter = self._rewriter
        at = -1 if rewriter is None else 0 if rewriter.is_active else rewriter.starts_at(framed)
        if rewriter is not None and at >= 0:
            start = sse.sure_end(framed, at)
            events = rewriter.feed(dechunk(framed[start:]))
            framed = framed[:start] + (chunk(events) if events else b"")
        if framed and self._out is not None:
            self._out.write(framed)
        self._let_go()

    def _let_go(self) -> None:
        """Keep the tail within its bound."""
        while self.tail_bytes > TAIL_BYTES_MAX and len(self.tail) > TAIL_READS_MIN:
            let_go = len(self.tail.popleft())
            self.tail_bytes -= let_go
            self.dropped_bytes += let_go

    def _keep(self, framed: bytes) -> None:
        """The call has not said yet what is to become of the stream: FRAMED waits in the tail."""
        if self.tail_bytes > COLLECT_BYTES_MAX:
            raise Malformed(502, "the answer is too large")
        if self.tail_bytes > HELD_BYTES_MAX and not self._is_gathering:
            self.pause()
        if self._was_woken or framed.find(b"data:") >= 0:  # a comment is no answer yet: the call may still go elsewhere
            self._wake_once()

    def _pass(self, data: bytes) -> None:
        """Relay as bytes: the framing of the answer is kept, its end found."""
        data, is_over = self._body.framed(data)
        self._write_out(data)
        if is_over:
            self._finish()

    def _write_out(self, data: bytes) -> None:
        if self._out is not None:
            self._out.write(data)
            return
        self._parts.append(data)
        self._size_bytes += len(data)
        if self._size_bytes > HELD_BYTES_MAX:
            self.pause()

    # -- the call's side -------------------------------------------------------------------------------------------

    @property
    def relayed_bytes(self) -> int:
        """Bytes of the stream so far, chunk framing included."""
        return self.dropped_bytes + self.tail_bytes

    def whole(self) -> bytes:
        """The body of a collected answer."""
        parts = self._parts
        if len(parts) > 1:
            parts[:] = [b"".join(parts)]
        return parts[0] if parts else b""

    def last_events(self) -> bytes:
        """The payload of the last few events: LAST_BYTES, and what it takes to begin with a whole one.

        Where a rewriter took the end of a stream that was there already, that end.
        """
        return self._ending or sse.last_payload(self.tail, LAST_BYTES)

    def newest(self) -> bytes:
        """The payload of what woke the call: at first `first`, after a `hold` the events of the last read."""
        self._looks += 1
        return self.first if self._looks == 1 or not self.tail else dechunk(self.tail[-1])

    @property
    def has_more_than_first(self) -> bool:
        """Whether the read that woke the call holds more than what `newest` gave of it."""
        return self._looks == 1 and len(self.first) >= FIRST_BYTES

    def recent(self) -> bytes | None:
        """The payload of the events since this was asked last; None where that is more than RECENT_BYTES_MAX."""
        total = self.relayed_bytes
        fresh, self._swept_bytes = total - self._swept_bytes, total
        return None if fresh > RECENT_BYTES_MAX else sse.last_payload(self.tail, fresh)

    def events(self) -> bytes:
        """The payload of the events that `tail` holds: all of them until `relay` begins."""
        return dechunk(b"".join(self.tail))

    def relay(self, out: asyncio.Transport, head: bytes, rewriter: Rewriter | None = None) -> None:
        """Write HEAD and every event, held and to come, to OUT as chunks; wakes the call at the end (see `is_done`).

        The last chunk is not written: the call settles first.
        """
        self._out, self.is_relaying, self._rewriter = out, True, rewriter
        self.resume()
        held = b"".join(self.tail)
        at = -1 if rewriter is None else rewriter.starts_at(held)
        if rewriter is None or at < 0:
            out.write(head + held)
            return
        start = sse.sure_end(held, max(0, min(at, len(held) - LAST_BYTES)))  # what `last_events` gives, at least
        ending = dechunk(held[start:])
        events = rewriter.feed(ending)
        if self.is_done:
            self._ending = ending
            events += rewriter.end()
        out.write(b"".join((head, memoryview(held)[:start], chunk(events) if events else b"")))

    def relay_bytes(self, out: asyncio.Transport, head: bytes) -> None:
        """Write HEAD and the rest of the answer to OUT with its own framing; wakes the call at the end."""
        self._out = out
        self.resume()
        out.write(head + b"".join(self._parts))
        self._parts = []

    def hold(self) -> None:
        """What came says nothing yet: go on holding it, and wake the call again at the next event or at the end."""
        self._was_woken = False

    def gather(self) -> None:
        """Keep holding events until the stream ends; wakes the call then."""
        self._is_gathering = True
        self.resume()

    def _wake_once(self) -> None:
        if not self._was_woken and self._call is not None:
            self._was_woken = True
            self._call.wake()

    def _finish(self) -> None:
        """The answer is whole; the connection stays the call's own until `give_back`."""
        self._was_woken = True  # the end wakes the call, not an event that the end sets free
        if self.is_stream:
            self._end_events()
        elif self._streams and self._has_answer_body and self._body.ends_at_close:
            self._write_out(LAST_CHUNK)
        self.is_done = True
        self._take = Upstream._take_unasked
        if self._is_paused:
            self.resume()
        call, self._call = self._call, None
        if call is not None:
            call.wake()

    def _end_events(self) -> None:
        rest = self._assembler.flush()
        if rest:
            self._emit(chunk(rest + b"\n\n" if rest.strip(b"\r\n") else rest))
        ending = self._rewriter.end() if self.is_relaying and self._rewriter is not None else b""
        if ending and self._out is not None:
            self._out.write(chunk(ending))

    def give_back(self) -> None:
        """The call has read what it wanted: another may have the connection. Before the answer's end, it is closed."""
        self._call = None
        self._out = self._direct = None
        if self.is_closed or self.transport.is_closing():
            return
        if not self.is_done or self.transport.get_write_buffer_size():
            self.transport.abort()  # the upstream stops working, and need not read the rest of what it has answered
        elif self.head is None or not self.head.keep_alive:
            self.transport.close()
        else:
            self._parts = []
            self._size_bytes = 0
            if self.is_stream or self._streams:
                self._forget_stream()
            self._is_reused = True
            self._owner.put(self)

    def pause(self) -> None:
        """Stop reading: the client is slower than the upstream."""
        if not self._is_paused and not self.is_done and not self.is_closed:
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
        self.transport.abort()
        self._fail(UpstreamLost(why, is_timeout=is_timeout))

    def _fail(self, why: UpstreamLost) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.fail(why)
