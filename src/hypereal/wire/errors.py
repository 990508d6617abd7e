"""The shapes of our own errors in the answers to callers: contract section 1.4, `error_body` of the dialects."""

from typing import Any

from hypereal.kit.errors import HyperealError
from hypereal.wire.members import encode


def superset(error: HyperealError, request_id: str) -> bytes:
    """What clients of OpenAI's and of Anthropic's dialect read alike."""
    return encode({"type": "error", "error": _members(error), "request_id": request_id})


def gemini(error: HyperealError) -> bytes:
    """Google's shape: its clients need the numeric `code` and the `status`, in streams too."""
    members = {"code": error.status, "status": GEMINI_STATUSES.get(error.status, "UNKNOWN")}
    members |= {name: value for name, value in _members(error).items() if name not in ("code", "param")}
    return encode({"error": members})


def responses_code(error: HyperealError) -> str:
    """The `error.code` of a failed Response: Codex stops at once on a quota, waits on a rate, retries the rest."""
    return error.code if error.code in _RESPONSES_OWN_CODES else _RESPONSES_CODES.get(error.type, "server_error")


def _members(error: HyperealError) -> dict[str, Any]:
    fixed = {"type": error.type, "message": error.message, "code": error.code, "param": error.param}
    return fixed | {name: value for name, value in error.details.items() if name not in fixed}


GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    426: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_RESPONSES_CODES = {
    "rate_limit_error": "rate_limit_exceeded",
    "insufficient_credits": "insufficient_quota",
    "spending_limit_reached": "insufficient_quota",
    "invalid_request_error": "invalid_prompt",
}
_RESPONSES_OWN_CODES = {"context_length_exceeded", "insufficient_quota", "rate_limit_exceeded", "usage_not_included"}
