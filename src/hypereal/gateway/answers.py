"""The heads of our answers, and our own errors as whole answers. The one place where either is written."""

from typing import Final

from hypereal.gateway.call import Call
from hypereal.kit.clock import coarse
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.kit.money import credits
from hypereal.limits import Quota
from hypereal.net import REASONS
from hypereal.wire import DIALECTS

JSON: Final = "application/json"
CHUNKED: Final = "transfer-encoding: chunked\r\n"
EVENTS: Final = "text/event-stream; charset=utf-8"
FINAL_STATUSES: Final = frozenset({400, 401, 402, 403})
"""Sending the request again cannot help: `x-should-retry: false` tells those clients that would."""
CORS: Final = (
    "access-control-allow-origin: *\r\n"
    "access-control-expose-headers: x-request-id, request-id, retry-after, x-should-retry, x-hypereal-request-id, "
    "x-hypereal-model, x-hypereal-provider, x-hypereal-cost-credits, x-hypereal-cache-read-tokens, "
    "x-hypereal-cache-written-tokens, x-hypereal-cache-saved-credits, "
    "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset\r\n"
)
PREFLIGHT: Final = (
    "access-control-allow-methods: GET, POST, DELETE, PATCH, OPTIONS\r\n"
    "access-control-allow-headers: *, authorization\r\n"
    "access-control-max-age: 86400\r\n"
)
_REASONS: Final = {status: reason.decode() for status, reason in REASONS.items()}


def head(
    call: Call, status: int, content_type: str, length: int | None, quota: Quota | None = None, extra: str = ""
) -> bytes:
    """A whole answer head. LENGTH None: chunked. EXTRA are ready lines, each with its CRLF."""
    request_id = call.request_id
    framing = CHUNKED if length is None else f"content-length: {length}\r\n"
    if quota is not None:
        extra = (
            f"x-ratelimit-limit: {quota.limit}\r\nx-ratelimit-remaining: {quota.remaining}\r\n"
            f"x-ratelimit-reset: {quota.reset_s}\r\n{extra}"
        )
    if call.facts.origin:
        extra = CORS + extra
    if not call.connection.keeps_alive:
        extra = "connection: close\r\n" + extra
    return (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\ndate: {coarse.http_date}\r\n"
        f"content-type: {content_type}\r\n{framing}"
        f"x-request-id: {request_id}\r\nrequest-id: {request_id}\r\nx-hypereal-request-id: {request_id}\r\n{extra}\r\n"
    ).encode()


def cost_line(micro: int) -> str:
    """`x-hypereal-cost-credits: …`, at most six decimals."""
    return f"x-hypereal-cost-credits: {credits(micro)}\r\n"


def error_answer(call: Call, error: HyperealError, dialect: Dialect, quota: Quota | None) -> bytes:
    """ERROR as a whole answer in DIALECT."""
    body = DIALECTS[dialect].error_body(error, call.request_id)
    extra = "".join(f"{name}: {value}\r\n" for name, value in error.headers.items())
    if error.status in FINAL_STATUSES:
        extra += "x-should-retry: false\r\n"
    return head(call, error.status, JSON, len(body), quota=quota, extra=extra) + body
