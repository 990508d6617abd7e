"""The life of one call, top to bottom. Everything else in this folder is a step of it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from hypereal.gateway.attempts import open_answer
from hypereal.gateway.bill import STATUS_CLIENT_GONE, Bill
from hypereal.gateway.caching import mark_prefixes
from hypereal.gateway.call import Call, ClientGone
from hypereal.gateway.continuations import FIELD as CONTINUES
from hypereal.gateway.refusals import refuse
from hypereal.gateway.replies import end, expect_stream, relay, reply, wait_for_commit
from hypereal.gateway.requests import find_offer, permit_origin
from hypereal.kit import log
from hypereal.kit.errors import HyperealError, InternalError
from hypereal.net import Malformed, UpstreamLost

if TYPE_CHECKING:
    from hypereal.gateway.plane import Plane

OUR_FAULT: Final = "Something went wrong on our side. The request id names it in our logs."


async def conduct(call: Call, plane: "Plane", steps: Callable[[Call, Bill, "Plane"], Awaitable[None]]) -> None:
    """Authenticate, take the STEPS of the route; whatever happens, the caller is told and the bill is closed once."""
    bill = Bill(call, plane)
    try:
        principal = plane.keys.get(call.facts.key_hash)
        if principal is None:
            principal = await call.aside(plane.keys.fetch(call.facts.credential))  # 401
        bill.principal = principal
        if principal.bodies_days is not None:
            plane.recording.begin(call)
        if principal.networks is not None:
            permit_origin(call, principal, plane.trusted_proxies)  # 403
        per_minute = principal.requests_per_minute or plane.requests_per_minute
        bill.quota = plane.limiter.admit(principal.owner_id, per_minute)
        if bill.quota is None:
            bill.quota = await call.aside(plane.limiter.fetch(principal.owner_id, per_minute))  # 429
        await steps(call, bill, plane)
    except (HyperealError, Malformed, UpstreamLost) as error:
        refuse(call, bill, error)
    except ClientGone:
        bill.status, bill.error_type = STATUS_CLIENT_GONE, "client_gone"
    except Exception:
        log.get("gateway").exception("a call failed", request_id=call.request_id)
        refuse(call, bill, InternalError(OUR_FAULT))
    finally:
        bill.close()
        if plane.traces is not None:
            plane.traces.tell(call, bill, plane)
        if call.recorder is not None:
            plane.recording.keep(call, bill.payer)
        call.finish()


async def generate(call: Call, bill: Bill, plane: "Plane") -> None:
    """The steps of every LLM route that costs money."""
    if not call.connection.read_body():  # 413
        await call.wait()
    read, payer = call.facts.read, bill.principal
    assert payer is not None, "`conduct` knows who asks"
    request = bill.request = read(call.connection.body)  # 400
    offer = find_offer(request, payer, plane.offers)  # 400 that names the available models or the endpoint, 403
    bill.model = offer.model
    call.deadline_s = call.began_s + offer.deadline_s
    ways = offer.ways
    if CONTINUES in request.fields:
        request, ways = await call.aside(plane.continuations.resume(call, bill, ways))  # 400
    if offer.has_choice:
        ways = plane.stickiness.keep_together(call, bill, ways)
    if not bill.hold(request, offer):
        await bill.wait_for_hold(offer)  # 402
    if offer.cache_tokens_min is not None and request.own.caches:
        mark_prefixes(bill, plane, offer, request)
    if request.stream or call.facts.always_streams:
        expect_stream(call, bill)
    way = await open_answer(call, bill, ways)  # 502, each target in turn
    if bill.conversation is not None:
        plane.stickiness.stay(bill, way)
    last = reply(call, bill, way) if bill.answer else await relay(call, bill, way)
    if plane.ledger.waits_for_commit:
        await wait_for_commit(call, plane.ledger)
    end(call, last)
    if way.bridge is not None:
        plane.continuations.keep_bridged(call, bill)
