"""The answer of an upstream as the caller's answer: whole with its cost in the head, or relayed as it comes."""

import math
from typing import TYPE_CHECKING, Final

import msgspec

from hypereal.gateway import answers
from hypereal.gateway.cache_economy import report_lines
from hypereal.gateway.call import Call, ClientGone
from hypereal.gateway.rewriters import BridgeRewriter, answer_id, last_told, rewriter_for, tells_cache
from hypereal.gateway.routing import Way
from hypereal.kit.errors import UpstreamFailed
from hypereal.ledger import Ledger
from hypereal.net import LAST_CHUNK, Upstream, UpstreamLost, chunk
from hypereal.wire import DIALECTS, Request, report_in_answer

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill

LOCAL_TRUNCATED: Final = b"x-hypereal-local-truncated"
LOCAL_TRUNCATED_LINE: Final = "x-hypereal-local-truncated: true\r\n"

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def reply(call: Call, bill: "Bill", way: Way) -> bytes:
    """Settle; the bytes that then answer: the bill's whole answer, which is in the upstream's dialect, as the caller
    wants it."""
    request, upstream, body = bill.request, call.upstream, bill.answer
    assert request is not None and upstream is not None
    if bill.usage is None:
        _require_object(body)
    if way.bridge is not None:
        body = call.told = way.bridge.answer(body, request, way.profile, answer_id(call))
    content_type = answers.JSON
    if request.stream:
        body, content_type = _as_stream(call, request, body)
    settlement = bill.settle(bill.usage, status=200)  # last, since an answer that cannot be given costs nothing
    if call.is_started:
        return chunk(body) + LAST_CHUNK
    call.is_started = True
    target, cached = way.target, bill.cache_report
    labels = target.labels if not target.is_local else target.labels + _local_line(upstream)
    extra = labels + answers.cost_line(settlement.charged)
    if cached is not None and tells_cache(request, way):
        extra += report_lines(cached)
        if content_type == answers.JSON:
            body = report_in_answer(body, cached)
    return answers.head(call, 200, content_type, len(body), bill.quota, extra) + body


def _as_stream(call: Call, request: Request, body: bytes) -> tuple[bytes, str]:
    """A plain answer for a caller who asked for a stream, and its content type."""
    if _wants_array(call):
        return b"[" + body + b"]", answers.JSON
    return DIALECTS[request.dialect].unfold(body), answers.EVENTS


async def relay(call: Call, bill: "Bill", way: Way) -> bytes:
    """Bytes through, as they come, then settle; the bytes that end the answer, so a clean end is a settled call.

    Where the caller wants no stream it is folded into one answer. Raises UpstreamFailed, Overloaded or UpstreamLost
    where it breaks off.
    """
    upstream, connection, request = call.upstream, call.connection, bill.request
    assert upstream is not None and request is not None
    if not call.relays:
        return _reply_folded(call, bill, way)
    labels = way.target.labels + (_local_line(upstream) if way.target.is_local else "")
    head = b"" if call.is_started else _stream_head(call, bill, labels)
    call.is_started = True
    call.deadline_s = math.inf
    call.on_sweep = bill.grow_with_stream
    rewriter = rewriter_for(call, request, way, bill, upstream)
    upstream.relay(connection.transport, head, rewriter)
    if connection.is_out_paused:
        upstream.pause()
    if not upstream.is_done:
        try:
            await call.wait()
        except (ClientGone, UpstreamLost):  # either may leave as soon as the last event is out
            if not way.wire.is_complete(_last_event(upstream)):
                raise
    call.on_silence = call.on_sweep = None
    if isinstance(rewriter, BridgeRewriter) and rewriter.failure is not None:
        raise rewriter.failure
    tail = upstream.last_events()
    _require_end(way, tail)
    bill.settle(way.wire.usage_of_stream(upstream.first, tail, way.profile), status=200)
    return LAST_CHUNK


def _reply_folded(call: Call, bill: "Bill", way: Way) -> bytes:
    """The stream was gathered whole before it counted as an answer (`attempts.open_answer`)."""
    upstream = call.upstream
    assert upstream is not None and upstream.is_done
    events = upstream.events()
    bill.usage = way.wire.usage_of_stream(upstream.first, events, way.profile)
    bill.answer = way.wire.fold(events)
    return reply(call, bill, way)


async def wait_for_commit(call: Call, ledger: Ledger) -> None:
    """The call is settled: let it end once the database has that. Where nobody can promise it, the answer is cut."""
    if not await call.aside(ledger.committed()):
        call.connection.transport.abort()
        raise ClientGone


def end(call: Call, last: bytes) -> None:
    """The LAST bytes of the answer, where somebody still waits for them."""
    if not call.connection.is_closed:
        call.connection.transport.write(last)


def expect_stream(call: Call, bill: "Bill") -> None:
    """The caller wants events: they are relayed as they come, and each 15 s without one brings a sign of life.

    The first sign may come before any target has answered (contract 2). Then the head goes with it, and failures are
    told in-band. Not in HTTP/1.0, and not for Gemini's array: there the answer is whole before it goes out.
    """
    request, model = bill.request, bill.model
    assert request is not None and model is not None
    if call.head.is_1_0 or _wants_array(call):
        return

    def beat() -> None:
        tail = last_told(call, bill)
        head = b"" if call.is_started else _stream_head(call, bill, f"x-hypereal-model: {model.id}\r\n")
        call.is_started = True
        call.connection.transport.write(head + chunk(DIALECTS[request.dialect].heartbeat(tail)))

    call.relays, call.on_silence = True, beat


def _stream_head(call: Call, bill: "Bill", labels: str) -> bytes:
    """The head of a stream. Its cost is not known yet, so no field says it."""
    return answers.head(call, 200, answers.EVENTS, None, bill.quota, labels)


def _last_event(upstream: Upstream) -> bytes:
    """The one that was relayed last."""
    return upstream.last_events().rstrip().rpartition(b"\n\n")[2] + b"\n\n"


def _require_end(way: Way, tail: bytes) -> None:
    """A stream that was cut must not look complete."""
    if not way.wire.is_complete(tail):
        raise UpstreamFailed("The upstream ended its stream before the answer was complete.")


def _require_object(body: bytes) -> None:
    """Who could not read usage out of BODY may not have been able to read it at all."""
    try:
        _object.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamFailed("The upstream's answer could not be read.") from None


def _wants_array(call: Call) -> bool:
    """Gemini's streamGenerateContent without `alt=sse` is one JSON array."""
    route = call.facts.route
    return route is not None and route.stream is True and b"alt=sse" not in call.head.query


def _local_line(upstream: Upstream) -> str:
    """The local model says when it had to cut a prompt; nobody else may write such a field."""
    assert upstream.head is not None
    return LOCAL_TRUNCATED_LINE if upstream.head.get(LOCAL_TRUNCATED) == b"true" else ""
