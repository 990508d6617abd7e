"""Getting an answer: each target of the chain in turn, until one answers or the caller is told why none did.

Until the first event with content a stream is held here, so that it may still come from elsewhere.
"""

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from hypereal.gateway.call import Call
from hypereal.gateway.faults import CALLERS_FAULT, LOST, OVERLOAD, SILENT, Fault, fault_of, retry_after_s
from hypereal.gateway.health import Breaker
from hypereal.gateway.routing import Way
from hypereal.kit import log
from hypereal.kit.errors import (
    HyperealError,
    InvalidRequest,
    Overloaded,
    RequestTooLarge,
    UpstreamFailed,
    UpstreamTimeout,
)
from hypereal.ledger import Attempt
from hypereal.net import AnswerHead, Pool, Upstream, UpstreamLost
from hypereal.wire import UpstreamError, upstream_error

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill

TRIES_PER_TARGET: Final = 2
TRIES_MAX: Final = 8
BACKOFF_S: Final = 0.1
PATIENCE_S: Final = 2.0
"""A `Retry-After` up to this is waited for although another target is left,"""
PATIENCE_S_LAST: Final = 10.0
"""and up to this where none is."""
ANTHROPIC_VERSION: Final = b"anthropic-version: 2023-06-01\r\n"
"""Sent where the caller sent none; the vendor refuses a request without it."""


class AnswerRefused(Exception):
    """A target answered, but not with what was asked for."""

    def __init__(
        self, status: int, message: str, retry_after_s: float | None = None, *, means: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.means = status if means is None else means
        """The status by which it is judged: vendors answer 429 for an empty account too, which no waiting mends."""
        self.retry_after_s = retry_after_s
        """What it asked for, where it did."""


Failure = AnswerRefused | UpstreamLost


async def open_answer(call: Call, bill: "Bill", ways: tuple[Way, ...], *, counts_tokens: bool = False) -> Way:
    """Ask each of WAYS in turn; `call.upstream` then holds the answer: whole, or a stream that has content.

    Raises InvalidRequest or RequestTooLarge where the upstream blames the caller, else UpstreamFailed, Overloaded or
    UpstreamTimeout once no target or no time is left.
    """
    last: Failure | None = None
    if ways[0].target.breaker.failures:
        ways = _in_order(ways)
    for way in ways:
        bill.way = way
        breaker = Breaker() if counts_tokens else way.target.breaker  # who cannot count may well answer
        tries: int | None = 0
        was_stale = False
        while tries is not None:
            bill.attempts += 1
            call.asked_s, call.quiet_s = monotonic(), 0
            if breaker.failures:
                breaker.begin()
            try:
                if way.seal is not None and not way.seal.is_ready:
                    await call.aside(way.seal.make_ready())
                pool, head, body = _request(call, bill, way, counts_tokens)
                idle = None if was_stale else pool.take()
                upstream = idle if idle is not None else await call.aside(pool.connect(call.deadline_s - monotonic()))
                call.upstream = upstream
                upstream.send(call, head, body)
                await call.wait()
                call.first_byte_s = monotonic()
                if upstream.is_stream:
                    await _hear(call, way, upstream)
                else:
                    _read(call, bill, way, upstream)
                if breaker.failures:
                    breaker.succeeded()
                return way
            except (UpstreamLost, AnswerRefused) as failure:
                last = failure
                was_stale = isinstance(failure, UpstreamLost) and failure.is_stale
                tries = await _may_ask_again(call, bill, breaker, failure, tries, way is ways[-1])
        if monotonic() >= call.deadline_s or bill.attempts >= TRIES_MAX:
            break
    raise _final(last, len(ways))


async def _may_ask_again(
    call: Call, bill: "Bill", breaker: Breaker, failure: Failure, tries: int, is_last: bool
) -> int | None:
    """Whether the bill's way is asked again after FAILURE, once it is time to: its TRIES so far, else None."""
    way = bill.way
    assert way is not None
    _let_go(call)
    if isinstance(failure, UpstreamLost) and failure.is_stale:
        bill.attempts -= 1  # closed while it was idle: not a try
        return tries
    is_out = breaker.failed(_note(call, bill, way, failure))
    wait_s = _wait_s(call, bill, way, failure, tries, is_last)
    if wait_s is None or (is_out and not is_last) or bill.attempts >= TRIES_MAX:
        return None
    if not wait_s:
        return tries
    await call.aside(asyncio.sleep(wait_s))
    return tries + 1


def _in_order(ways: tuple[Way, ...]) -> tuple[Way, ...]:
    """First the ways whose circuit breakers let calls through; the others last, since one may have mended."""
    return tuple(sorted(ways, key=lambda way: not way.target.breaker.lets_through))


def _request(call: Call, bill: "Bill", way: Way, counts_tokens: bool) -> tuple[Pool, bytes, bytes]:
    """What is sent along WAY: the pool of its address, the whole head, the body."""
    request = bill.request
    assert request is not None
    bill.key_number = number = way.keys.pick(bill.key_number) if way.keys.size > 1 else 0
    pool, head = way.line(request.stream, counts_tokens, number)
    if way.bridge is not None:
        request = way.bridge.request(request, way.profile)
    forwarded = call.facts.forwarded
    if way.is_messages and b"anthropic-version:" not in forwarded:
        forwarded += ANTHROPIC_VERSION
    if way.seal is None:
        body = way.wire.write(request, way.target.model, way.profile)
    else:
        body, forwarded = way.seal.close(request, forwarded, counts_tokens)
    call.silence_s_max, call.says_nothing = way.timeout_s, way.says_nothing
    return pool, b"%s%d\r\n%s\r\n" % (head, len(body), forwarded), body


def _read(call: Call, bill: "Bill", way: Way, upstream: Upstream) -> None:
    """Keep a plain answer for the bill, and the usage that it says: what was counted was answered.

    Raises AnswerRefused where it is none; InvalidRequest or RequestTooLarge where the caller is to blame.
    """
    head, said = upstream.head, upstream.whole()
    assert head is not None
    if head.status != 200:
        raise _not_ok(call, head, said)
    usage = way.wire.usage_of_answer(said, way.profile)
    if usage is None:
        _require_answer(call, way, said, is_sse=False)
    bill.answer, bill.usage = said, usage


async def _hear(call: Call, way: Way, upstream: Upstream) -> None:
    """Hold a stream until it says something; until it ends, where the caller wants none. Raises as `_read`."""
    head = upstream.head
    assert head is not None
    if head.status != 200:
        raise _not_ok(call, head, upstream.first)
    while _says_nothing(call, way, upstream):
        upstream.hold()
        await call.wait()
    if call.relays:
        return
    if not upstream.is_done:
        upstream.gather()
        await call.wait()
    if not way.wire.is_complete(upstream.last_events()):  # cut, it can still be somebody else's
        raise AnswerRefused(502, "the stream ended before the answer was complete")


def _says_nothing(call: Call, way: Way, upstream: Upstream) -> bool:
    """Whether a stream has said nothing yet, so that it is to be held on. Raises as `_read`."""
    said = upstream.newest()
    _require_answer(call, way, said, is_sse=True)
    if not way.wire.says_nothing(said):
        return False
    if upstream.has_more_than_first:
        said = upstream.events()
        _require_answer(call, way, said, is_sse=True)
        if not way.wire.says_nothing(said):
            return False
    if upstream.is_done:
        raise AnswerRefused(502, "the stream ended before it said anything")
    return True


def _not_ok(call: Call, head: AnswerHead, said: bytes) -> Exception:
    """What an answer whose status is not 200 is to the gateway; SAID is its body, or its first events."""
    return _refusal(call, head.status, upstream_error(head.status, said), retry_after_s(head, said))


def _require_answer(call: Call, way: Way, said: bytes, *, is_sse: bool) -> None:
    """Raises for an error inside a 200, and for what is no answer at all."""
    error = way.wire.error_in(said)
    if error is not None:
        raise _refusal(call, error.status, error, None)
    _require_shape(said, is_sse=is_sse)


def _refusal(call: Call, status: int, said: UpstreamError, retry_after_s: float | None) -> Exception:
    """What a failure of this STATUS is to the gateway: the caller's fault, or the target's."""
    if status not in CALLERS_FAULT:
        return AnswerRefused(status, f"status {status}: {said.message}", retry_after_s, means=said.status)
    call.first_byte_s = 0.0  # it is no answer, so it costs nothing, though a sign of life may have gone out
    message = said.message or "the upstream refused the request"
    return RequestTooLarge(message) if status == 413 else InvalidRequest(message, code=said.code)


def _require_shape(said: bytes, *, is_sse: bool) -> None:
    """Raises AnswerRefused for what is not even the outside of an answer: nothing, HTML, half an object."""
    said = said.strip()  # copies nothing where there is nothing to strip
    if not said or (not is_sse and (said[:1] != b"{" or said[-1:] != b"}")):
        raise AnswerRefused(502, "the answer is not one of the format that was asked for")


def _note(call: Call, bill: "Bill", way: Way, failure: Failure) -> Fault:
    """The class of FAILURE of WAY, which is told in the log and in the call's row."""
    fault = _fault(failure)
    call.first_byte_s = 0.0
    status = failure.status if isinstance(failure, AnswerRefused) else 0
    took_ms, after_ms = int((monotonic() - call.asked_s) * 1000), int((call.asked_s - call.began_s) * 1000)
    bill.note(Attempt(way.target.name, status, took_ms, after_ms))
    logger = log.get("gateway")
    tell = logger.error if fault.is_alarm else logger.info
    tell("target failed", target=way.target.name, fault=fault.name, request_id=call.request_id, why=str(failure))
    return fault


def _wait_s(call: Call, bill: "Bill", way: Way, failure: Failure, tries: int, is_last: bool) -> float | None:
    """How long to wait after FAILURE until WAY is asked again; 0: at once, with another key; None: not again."""
    fault = _fault(failure)
    asked_s = failure.retry_after_s if isinstance(failure, AnswerRefused) else None
    if fault.rests_key_s and way.keys.rest(bill.key_number, asked_s or fault.rests_key_s):
        return 0.0
    if not fault.may_mend or tries + 1 >= TRIES_PER_TARGET:
        return None
    wait_s = random.uniform(0, BACKOFF_S * 2 ** (tries + 1)) or BACKOFF_S
    if asked_s is not None:
        if asked_s > (PATIENCE_S_LAST if is_last else PATIENCE_S):
            return None
        wait_s = max(wait_s, asked_s)
    return wait_s if monotonic() + wait_s < call.deadline_s else None


def _fault(failure: Failure) -> Fault:
    if isinstance(failure, AnswerRefused):
        return fault_of(failure.means)
    return SILENT if failure.is_timeout else LOST


def _let_go(call: Call) -> None:
    upstream, call.upstream = call.upstream, None
    if upstream is not None:
        upstream.give_back()


def _final(last: Failure | None, targets: int) -> HyperealError:
    tried = "the only target" if targets == 1 else f"each of the {targets} targets"
    if isinstance(last, AnswerRefused):
        if last.means in OVERLOAD:
            message = f"The model is overloaded: {tried} is busy. Try again shortly."
            return Overloaded(message) if last.retry_after_s is None else Overloaded(message, round(last.retry_after_s))
        return UpstreamFailed(f"The model could not answer: {tried} failed (status {last.status}).")
    if last is not None and last.is_timeout:
        return UpstreamTimeout(f"The model did not answer in time: {tried} was silent.")
    return UpstreamFailed(f"The model could not be reached: {tried} failed.")
