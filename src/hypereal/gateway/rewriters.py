"""What changes a stream on its way through, where anything does: a bridge, or the end of a chat stream."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypereal.gateway.caching import ReportRewriter
from hypereal.gateway.call import Call
from hypereal.gateway.routing import Way
from hypereal.kit.errors import HyperealError
from hypereal.net import Rewriter, Upstream
from hypereal.wire import BridgedStream, FinishMerger, Request, finish_at, has_finish

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill


def rewriter_for(call: Call, request: Request, way: Way, bill: "Bill", upstream: Upstream) -> Rewriter | None:
    """None where the caller gets the upstream's bytes as they come."""
    if way.bridge is not None:
        return BridgeRewriter(call, way.bridge.stream(request, way.profile, answer_id(call)))
    if not request.wants_usage:
        return _FinishRewriter()
    return ReportRewriter(bill, way, upstream) if tells_cache(request, way) else None


def tells_cache(request: Request, way: Way) -> bool:
    """Whether the caller is told what the vendor's cache did: in the Messages format, unless it wants none of it."""
    return way.is_messages and way.bridge is None and request.own.caches


def answer_id(call: Call) -> str:
    """Of an answer that a bridge writes: what it is found by in the logs too."""
    return call.request_id.removeprefix("req_")


def last_told(call: Call, bill: "Bill") -> bytes:
    """The events that went out last, in the caller's dialect; b"" where none did."""
    if bill.way is not None and bill.way.bridge is not None:
        return call.told
    upstream = call.upstream
    return upstream.last_events() if upstream is not None and upstream.is_relaying else b""


class BridgeRewriter:
    """Every event is translated. An error among them ends the call at once, so that the caller is told of it once."""

    __slots__ = ("_call", "_stream", "is_active", "wants")

    def __init__(self, call: Call, stream: BridgedStream) -> None:
        self.is_active = True
        self.wants: Callable[[bytes], object] = bool
        self._call = call
        self._stream = stream

    @property
    def failure(self) -> HyperealError | None:
        """The error that the upstream's stream ended with."""
        return self._stream.failure

    def starts_at(self, data: bytes) -> int:
        return 0

    def feed(self, events: bytes) -> bytes:
        told = self._tell(self._stream.feed(events))
        if self.failure is not None:  # soon: what came before it is written first
            asyncio.get_running_loop().call_soon(self._call.fail, self.failure)
        return told

    def end(self) -> bytes:
        return self._tell(self._stream.end())

    def _tell(self, events: bytes) -> bytes:
        if events:
            self._call.told = events
        return events


class _FinishRewriter:
    """Bytes through, until a read that may hold the finish chunk of a chat stream."""

    __slots__ = ("_merger", "is_active", "wants")

    def __init__(self) -> None:
        self.is_active = False
        self.wants = has_finish
        self._merger = FinishMerger()

    def starts_at(self, data: bytes) -> int:
        return finish_at(data)

    def feed(self, events: bytes) -> bytes:
        before = b""
        if not self.is_active:
            at = finish_at(events)
            if at < 0:
                return events
            self.is_active = True
            start = events.rfind(b"\n\n", 0, at) + 2
            if start > 1:
                before, events = events[:start], events[start:]
        return before + self._merger.feed(events)

    def end(self) -> bytes:
        return self._merger.end()
