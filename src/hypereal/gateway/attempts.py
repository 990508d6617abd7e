"""Getting an answer: each target of the chain in turn, until one answers or the caller is told why none did."""

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING

from hypereal.gateway.call import Call
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
from hypereal.net import Pool, Upstream, UpstreamLost
from hypereal.wire import Request, upstream_error

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill

TRIES_PER_TARGET = 2
TRIES_MAX = 8
BACKOFF_S = 0.1
ANTHROPIC_VERSION = b"anthropic-version: 2023-06-01\r\n"
"""Sent where the caller sent none; the vendor refuses a request without it."""
CALLERS_FAULT = frozenset({400, 413, 422})
"""What every target would say again, so the caller is told at once."""
OVERLOAD = frozenset({429, 503, 529})


class AnswerRefused(Exception):
    """A target answered, but not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.may_mend = status >= 500 or status in (200, 408, 409, 429)
        """Whether the same target may answer the same request a moment later."""


async def open_answer(call: Call, bill: "Bill", ways: tuple[Way, ...], *, counts_tokens: bool = False) -> Way:
    """Ask each of WAYS in turn; `call.upstream` then holds the answer, collected or a stream at its first event.

    Raises InvalidRequest or RequestTooLarge where the upstream blames the caller, else UpstreamFailed, Overloaded or
    UpstreamTimeout once no target is left.
    """
    request = bill.request
    assert request is not None
    last: AnswerRefused | UpstreamLost | None = None
    for way in ways if ways[0].target.is_available else _in_order(ways):
        bill.way = way
        tries, was_stale = 0, False
        while tries < TRIES_PER_TARGET and bill.attempts < TRIES_MAX:
            if tries:
                await call.aside(asyncio.sleep(random.uniform(0, BACKOFF_S * 2**tries)))
            tries += 1
            bill.attempts += 1
            try:
                if way.seal is not None and not way.seal.is_ready:
                    await call.aside(way.seal.make_ready())
                pool, head, body = _request(call, way, request, counts_tokens)
                upstream = None if was_stale else pool.take()
                if upstream is None:
                    upstream = await call.aside(pool.connect())
                call.upstream = upstream
                upstream.send(call, head, body)
                await call.wait()
                call.first_byte_s = monotonic()
                _check(bill, way, upstream)
                way.target.succeeded()
                return way
            except (UpstreamLost, AnswerRefused) as error:
                last = error
                call.first_byte_s = 0.0
                _let_go(call)
                was_stale = isinstance(error, UpstreamLost) and error.is_stale
                if was_stale:
                    tries, bill.attempts = tries - 1, bill.attempts - 1  # closed while it was idle: not a try
                    continue
                way.target.failed()
                log.get("gateway").info(
                    "target failed", target=way.target.name, request_id=call.request_id, why=str(error)
                )
                if isinstance(error, AnswerRefused) and not error.may_mend:
                    break
    raise _final(last, len(ways))


def _in_order(ways: tuple[Way, ...]) -> list[Way]:
    """First the ways whose circuit breakers are closed; the others last, since one may have mended."""
    return sorted(ways, key=lambda way: not way.target.is_available)


def _request(call: Call, way: Way, request: Request, counts_tokens: bool) -> tuple[Pool, bytes, bytes]:
    """What is sent along WAY: the pool of its address, the whole head, the body."""
    pool, head = way.line(request.stream, counts_tokens)
    if way.bridge is not None:
        request = way.bridge.request(request, way.profile)
    forwarded = call.facts.forwarded
    if way.is_messages and b"anthropic-version:" not in forwarded:
        forwarded += ANTHROPIC_VERSION
    if way.seal is None:
        body = way.wire.write(request, way.target.model, way.profile)
    else:
        body, forwarded = way.seal.close(request, forwarded, counts_tokens)
    call.silence_s_max = way.target.provider.timeout_s
    return pool, b"%s%d\r\n%s\r\n" % (head, len(body), forwarded), body


def _check(bill: "Bill", way: Way, upstream: Upstream) -> None:
    """Raises AnswerRefused unless the answer is one; InvalidRequest or RequestTooLarge where the caller is to blame.

    Usage that a plain answer says is kept: what was counted was answered.
    """
    assert upstream.head is not None
    status = upstream.head.status
    said = upstream.first if upstream.is_stream else upstream.whole()
    if status == 200:
        if not upstream.is_stream:
            bill.answer = said
            bill.usage = way.wire.usage_of_answer(said, way.profile)
            if bill.usage is not None:
                return
        inside = way.wire.error_in(said)
        if inside is None:
            return _require_shape(said, is_sse=upstream.is_stream)
        status = inside.status
    else:
        inside = upstream_error(status, said)
    if status in CALLERS_FAULT:
        message = inside.message or "the upstream refused the request"
        if status == 413:
            raise RequestTooLarge(message)
        raise InvalidRequest(message, code=inside.code)
    raise AnswerRefused(status, f"status {status}: {inside.message}")


def _require_shape(said: bytes, *, is_sse: bool) -> None:
    """Raises AnswerRefused for what is not even the outside of an answer: nothing, HTML, half an object."""
    said = said.strip()  # copies nothing where there is nothing to strip
    if not said or (not is_sse and (said[:1] != b"{" or said[-1:] != b"}")):
        raise AnswerRefused(502, "the answer is not one of the format that was asked for")


def _let_go(call: Call) -> None:
    upstream, call.upstream = call.upstream, None
    if upstream is not None:
        upstream.give_back()


def _final(last: AnswerRefused | UpstreamLost | None, targets: int) -> HyperealError:
    tried = "the only target" if targets == 1 else f"each of the {targets} targets"
    if isinstance(last, AnswerRefused):
        if last.status in OVERLOAD:
            return Overloaded(f"The model is overloaded: {tried} is busy. Try again shortly.")
        return UpstreamFailed(f"The model could not answer: {tried} failed (status {last.status}).")
    if last is not None and last.is_timeout:
        return UpstreamTimeout(f"The model did not answer in time: {tried} was silent.")
    return UpstreamFailed(f"The model could not be reached: {tried} failed.")
