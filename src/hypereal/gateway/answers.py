"""The heads of our answers, and our own errors as whole answers. The one place where either is written."""

import time
from email.utils import formatdate

from hypereal.gateway.call import Call
from hypereal.kit import clock, money
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.limits import Quota
from hypereal.net import REASONS
from hypereal.wire import DIALECTS

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"
FINAL_STATUSES = frozenset({400, 401, 402, 403})
"""Sending the request again cannot help: `x-should-retry: false` tells those clients that would."""
CORS = (
    b"access-control-allow-origin: *\r\n"
    b"access-control-expose-headers: x-request-id, request-id, retry-after, x-hypereal-request-id, x-hypereal-model, "
    b"x-hypereal-provider, x-hypereal-cost-credits, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset\r\n"
)
PREFLIGHT = (
    b"access-control-allow-methods: GET, POST, DELETE, PATCH, OPTIONS\r\n"
    b"access-control-allow-headers: *, authorization\r\n"
    b"access-control-max-age: 86400\r\n"
)

_date = [0, b""]


def date_line() -> bytes:
    """`date: …` of this second."""
    now = int(clock.coarse.unix_s)
    if _date[0] != now:
        _date[0] = now
        _date[1] = b"date: " + formatdate(now, usegmt=True).encode() + b"\r\n"
    line = _date[1]
    assert isinstance(line, bytes)
    return line


def head(
    call: Call, status: int, content_type: bytes, length: int | None, *, quota: Quota | None = None, extra: bytes = b""
) -> bytes:
    """A whole answer head. LENGTH None: chunked. EXTRA are ready lines, each with its CRLF."""
    request_id = call.request_id.encode()
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 %d %s\r\n%scontent-type: %s\r\n%s\r\n%sx-request-id: %s\r\nrequest-id: %s\r\n%s%s%s%s\r\n" % (
        status,
        REASONS.get(status, b"Unknown"),
        date_line(),
        content_type,
        framing,
        b"" if call.connection.keeps_alive else b"connection: close\r\n",
        request_id,
        request_id,
        b"x-hypereal-request-id: %s\r\n" % request_id,
        b"" if quota is None else _quota_lines(quota),
        CORS if call.facts.origin else b"",
        extra,
    )


def cost_line(micro: int) -> bytes:
    """`x-hypereal-cost-credits: …`"""
    return b"x-hypereal-cost-credits: %s\r\n" % money.credits(micro).encode()


def error_answer(call: Call, error: HyperealError, dialect: Dialect, quota: Quota | None) -> bytes:
    """ERROR as a whole answer in DIALECT."""
    body = DIALECTS[dialect].error_body(error, call.request_id)
    extra = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in error.headers.items())
    if error.status in FINAL_STATUSES:
        extra += b"x-should-retry: false\r\n"
    return head(call, error.status, JSON, len(body), quota=quota, extra=extra) + body


def _quota_lines(quota: Quota) -> bytes:
    return b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n" % (
        quota.limit,
        quota.remaining,
        quota.reset_s,
    )


def elapsed_ms(since_s: float, until_s: float | None = None) -> int:
    """Whole milliseconds between two readings of the monotonic clock."""
    return int(((time.monotonic() if until_s is None else until_s) - since_s) * 1000)
