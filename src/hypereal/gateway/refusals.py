"""Telling a caller that it will not be: as an answer of its own, or in-band where the answer has begun."""

from typing import TYPE_CHECKING

from hypereal.gateway.answers import error_answer
from hypereal.gateway.call import Call
from hypereal.gateway.rewriters import last_told
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest, RequestTooLarge, UpstreamFailed, UpstreamTimeout
from hypereal.net import LAST_CHUNK, Malformed, UpstreamLost, chunk
from hypereal.wire import DIALECTS

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill


def refuse(call: Call, bill: "Bill", cause: HyperealError | Malformed | UpstreamLost) -> None:
    """Tell the caller of CAUSE in the dialect it speaks. Nothing is charged unless the answer had begun."""
    error = as_error(cause)
    bill.status, bill.error_type = error.status, error.type
    if call.connection.is_closed:
        return
    route = call.facts.route
    dialect = bill.request.dialect if bill.request else route.dialect if route else Dialect.OPENAI_CHAT
    if not call.is_started:
        call.connection.transport.write(error_answer(call, error, dialect, bill.quota))
        return
    last = last_told(call, bill)
    if _tells_failure(last, bill, dialect):
        call.connection.transport.write(LAST_CHUNK)
        return
    model = bill.model.id if bill.model else ""
    event = DIALECTS[dialect].error_event(error, call.request_id, model=model, tail=last)
    call.connection.transport.write(chunk(event) + LAST_CHUNK)


def _tells_failure(tail: bytes, bill: "Bill", dialect: Dialect) -> bool:
    """Whether the upstream's own error was the last that went out, in the caller's dialect: one is enough."""
    way = bill.way
    if way is None or way.bridge is not None:
        return False
    last = tail.rstrip().rpartition(b"\n\n")[2]
    return DIALECTS[dialect].error_in(last) is not None


def as_error(cause: HyperealError | Malformed | UpstreamLost) -> HyperealError:
    """CAUSE as what a caller is told."""
    match cause:
        case HyperealError():
            return cause
        case Malformed(status=413):
            return RequestTooLarge(f"The request is too large: {cause.why}.")
        case Malformed():
            error = InvalidRequest(f"Malformed HTTP: {cause.why}.")
            error.status = cause.status
            return error
        case UpstreamLost(is_timeout=True):
            return UpstreamTimeout("The upstream stopped sending.")
        case _:
            return UpstreamFailed("The upstream broke off before the answer was complete.")
