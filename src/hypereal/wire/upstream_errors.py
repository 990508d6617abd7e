"""What an upstream's error answer says, in whatever shape it came. The gateway decides by the status, not by this."""

import itertools
import re
from typing import Any

import msgspec

from hypereal.wire import events
from hypereal.wire.members import UNREADABLE

MESSAGE_CHARACTERS_MAX = 500
BODY_BYTES_MAX = 64 * 1024
"""Of a longer error body only this much is looked at."""
EVENTS_MAX = 8
"""An error comes as the first event, after pings and the like at most."""

_SECRETS = re.compile(
    r"\b(?:ck_|sk-|xai-|gsk_|AIza|eyJ)[A-Za-z0-9_.*\-]{6,}|(?<=[Bb]earer )\S+|(?<=key=)[^&\s\"']+"
    r"|(?=[A-Za-z0-9_\-]*\d)(?=[A-Za-z0-9_\-]*[A-Za-z])[A-Za-z0-9_\-]{32,}"
)
"""Keys by their vendors' prefixes, masked ones too, and any long run of letters and digits."""

_STATUSES = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "insufficient_quota": 402,  # the account is empty, which no waiting mends
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error inside a 200 would have been as an answer of its own."""

_EMPTY_ACCOUNT = "insufficient_quota"
"""OpenAI and others answer it with 429, as if waiting would mend it."""

_any = msgspec.json.Decoder(Any)


class UpstreamError(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream's words, bounded and without anything that looks like a key."""

    status: int
    """Of the answer, or the one that the error inside it stands for: in a 200, or in a 429 that means 402."""
    type: str = ""
    code: str = ""
    message: str = ""


def upstream_error(status: int, body: bytes) -> UpstreamError:
    """Read an error answer of any vendor: OpenAI's, Anthropic's, Gemini's (also in a list), xAI's three, MiniMax's ...

    Never raises; what cannot be read (HTML, nothing) gives an empty message.
    """
    try:
        value = _any.decode(body[:BODY_BYTES_MAX])
    except UNREADABLE:
        return UpstreamError(status=status)
    return error_of_value(status, value) or UpstreamError(status=status)


def error_inside(events_or_body: bytes) -> UpstreamError | None:
    """The error inside a 200: in the first events of a stream, or in a plain answer. None where all is well."""
    find = events_or_body.find
    if find(b"error") < 0 and find(b"base_resp") < 0 and find(b'"code"') < 0:
        return None  # every shape of `error_of_value` within a 200 has one of these in it
    if events_or_body.lstrip()[:1] in (b"{", b"["):
        found = [events_or_body]
    else:
        found = list(itertools.islice(events.payloads(events_or_body), EVENTS_MAX))
    for payload in found:
        try:
            value = _any.decode(payload)
        except UNREADABLE:
            continue
        if (error := error_of_value(200, value)) is not None:
            return error
    return None


def error_of_value(status: int, value: Any) -> UpstreamError | None:
    """The error that a decoded JSON VALUE holds; None where it holds none."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    match value:
        case {"error": dict(inner)} if inner:
            return _build(status, {**value, **inner})
        case {"error": str(message)} if message:
            return _build(status, {"code": value.get("code"), "message": message})
        case {"response": {"error": dict(inner)}} if inner:
            return _build(status, inner)
        case {"base_resp": {"status_code": int(code), **rest}} if code != 0:
            return _build(status, {"code": code, "message": rest.get("status_msg")})
        case {"code": _, "message": str()} if status >= 400 or value["code"] or value.get("type") == "error":
            return _build(status, value)
        case {"message": str()} | {"detail": str()} if status >= 400:
            return _build(status, {"message": value.get("message") or value.get("detail")})
    return None


def _build(status: int, inner: dict[str, Any]) -> UpstreamError:
    code = inner.get("code")
    if status < 400:
        if isinstance(code, int) and 400 <= code <= 599:
            status = code
        else:
            status = _STATUSES.get(str(code)) or _STATUSES.get(str(inner.get("type"))) or status
    elif status == 429 and _EMPTY_ACCOUNT in (code, inner.get("type")):
        status = 402
    return UpstreamError(
        status=status,
        type=_short(inner.get("status") if isinstance(code, int) and "status" in inner else inner.get("type")),
        code=_short(code),
        message=clean(inner.get("message")),
    )


def clean(message: Any) -> str:
    """MESSAGE for a caller's eyes: one line, bounded, keys struck out; empty for what is no text."""
    if not isinstance(message, str):
        return ""
    line = " ".join(message[: 4 * MESSAGE_CHARACTERS_MAX].split())
    line = _SECRETS.sub("[redacted]", line)
    return line if len(line) <= MESSAGE_CHARACTERS_MAX else line[: MESSAGE_CHARACTERS_MAX - 1] + "…"


def _short(value: Any) -> str:
    return clean(str(value))[:100] if isinstance(value, str | int) and not isinstance(value, bool) else ""
