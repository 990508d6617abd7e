"""The heads of our answers, and our own errors as whole answers. The one place where either is written."""

from hypereal.gateway.call import Call
from hypereal.kit.clock import coarse
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.kit.money import MICRO_PER_CREDIT
from hypereal.limits import Quota
from hypereal.net import REASONS
from hypereal.wire import DIALECTS

JSON = b"application/json"
CHUNKED = b"transfer-encoding: chunked\r\n"
EVENTS = b"text/event-stream; charset=utf-8"
FINAL_STATUSES = frozenset({400, 401, 402, 403})
"""Sending the request again cannot help: `x-should-retry: false` tells those clients that would."""
CORS = (
    b"access-control-allow-origin: *\r\n"
    b"access-control-expose-headers: x-request-id, request-id, retry-after, x-should-retry, x-hypereal-request-id, "
    b"x-hypereal-model, x-hypereal-provider, x-hypereal-cost-credits, x-hypereal-cache-read-tokens, "
    b"x-hypereal-cache-written-tokens, x-hypereal-cache-saved-credits, "
    b"x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset\r\n"
)
PREFLIGHT = (
    b"access-control-allow-methods: GET, POST, DELETE, PATCH, OPTIONS\r\n"
    b"access-control-allow-headers: *, authorization\r\n"
    b"access-control-max-age: 86400\r\n"
)


def head(
    call: Call, status: int, content_type: bytes, length: int | None, quota: Quota | None = None, extra: bytes = b""
) -> bytes:
    """A whole answer head. LENGTH None: chunked. EXTRA are ready lines, each with its CRLF."""
    request_id = call.request_id.encode()
    if quota is not None:
        extra = b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n%s" % (
            quota.limit,
            quota.remaining,
            quota.reset_s,
            extra,
        )
    if call.facts.origin:
        extra = CORS + extra
    if not call.connection.keeps_alive:
        extra = b"connection: close\r\n" + extra
    return (
        b"HTTP/1.1 %d %s\r\ndate: %s\r\ncontent-type: %s\r\n%s"
        b"x-request-id: %s\r\nrequest-id: %s\r\nx-hypereal-request-id: %s\r\n%s\r\n"
    ) % (
        status,
        REASONS.get(status, b"Unknown"),
        coarse.http_date,
        content_type,
        CHUNKED if length is None else b"content-length: %d\r\n" % length,
        request_id,
        request_id,
        request_id,
        extra,
    )


def cost_line(micro: int) -> bytes:
    """`x-hypereal-cost-credits: …`, at most six decimals."""
    credits = b"%d.%06d" % divmod(micro, MICRO_PER_CREDIT)
    return b"x-hypereal-cost-credits: %s\r\n" % credits.rstrip(b"0").rstrip(b".")


def error_answer(call: Call, error: HyperealError, dialect: Dialect, quota: Quota | None) -> bytes:
    """ERROR as a whole answer in DIALECT."""
    body = DIALECTS[dialect].error_body(error, call.request_id)
    extra = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in error.headers.items())
    if error.status in FINAL_STATUSES:
        extra += b"x-should-retry: false\r\n"
    return head(call, error.status, JSON, len(body), quota=quota, extra=extra) + body
