"""What changes a stream on its way through, where anything does: a bridge, or the end of a chat stream."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hypereal.gateway.caching import ReportRewriter
from hypereal.gateway.routing import Way
from hypereal.net import Rewriter, Upstream
from hypereal.wire import BridgedStream, FinishMerger, Request, finish_at, has_finish

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill


def rewriter_for(request: Request, way: Way, bill: "Bill", upstream: Upstream) -> Rewriter | None:
    """None where the caller gets the upstream's bytes as they come."""
    if way.bridge is not None:
        return _BridgeRewriter(way.bridge.stream(request, way.profile))
    if not request.wants_usage:
        return _FinishRewriter()
    return ReportRewriter(bill, way, upstream) if tells_cache(request, way) else None


def tells_cache(request: Request, way: Way) -> bool:
    """Whether the caller is told what the vendor's cache did: in the Messages format, unless it wants none of it."""
    return way.is_messages and way.bridge is None and request.own.caches


class _BridgeRewriter:
    """Every event is translated."""

    __slots__ = ("_stream", "is_active", "wants")

    def __init__(self, stream: BridgedStream) -> None:
        self.is_active = True
        self.wants: Callable[[bytes], object] = bool
        self._stream = stream

    def starts_at(self, data: bytes) -> int:
        return 0

    def feed(self, events: bytes) -> bytes:
        return self._stream.feed(events)

    def end(self) -> bytes:
        return self._stream.end()


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
