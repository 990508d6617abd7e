"""Every error a caller can see, as one tree. Raised anywhere; rendered in one place per dialect (`wire/<dialect>.py`).

    HyperealError
    ├── InvalidRequest        400 invalid_request_error
    │   ├── UnknownModel      400, with the ids that would work
    │   └── UnusableUrl       400, what is wrong with a URL that the caller gave, or with what is there
    ├── AuthenticationFailed  401 authentication_error
    ├── InsufficientCredits   402 insufficient_credits
    ├── SpendingLimitReached  402 spending_limit_reached
    ├── PermissionDenied      403 permission_error
    ├── NotFound              404 not_found_error
    ├── MethodNotAllowed      405 invalid_request_error
    ├── Conflict              409 conflict_error
    ├── RequestTooLarge       413 request_too_large
    ├── UpgradeRequired       426 invalid_request_error
    ├── RateLimited           429 rate_limit_error
    ├── InternalError         500 api_error
    ├── UpstreamFailed        502 api_error
    ├── Overloaded            503 overloaded_error
    └── UpstreamTimeout       504 timeout_error

The table of contract section 1.4 is this file.
"""

from collections.abc import Mapping, Sequence

RETRY_AFTER_S_MAX = 30


class HyperealError(Exception):
    """An answer to a caller. `details` are extra members of the error object, `headers` extra lines of the head."""

    status = 500
    type = "api_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.details: dict[str, object] = dict(details or {})
        self.headers: dict[str, str] = dict(headers or {})


class InvalidRequest(HyperealError):
    """The request itself is wrong; sending it again cannot help."""

    status = 400
    type = "invalid_request_error"


class UnknownModel(InvalidRequest):
    """No such model on this endpoint; `available` are the ids that it does serve, sorted."""

    def __init__(self, model: str, available: Sequence[str]) -> None:
        shown = model if len(model) <= 100 else model[:100] + "…"
        super().__init__(
            f"Unknown model '{shown}'. See error.available_models, or GET /v1/models.",
            code="model_not_found",
            param="model",
            details={"available_models": sorted(available)},
        )


class UnusableUrl(InvalidRequest):
    """A caller's URL that nothing can be fetched from or sent to. Where `is_temporary`, that may change."""

    def __init__(self, message: str, *, param: str | None = None, is_temporary: bool = False) -> None:
        super().__init__(message, param=param)
        self.is_temporary = is_temporary


class AuthenticationFailed(HyperealError):
    """No key, not one of ours, unknown, inactive or expired."""

    status = 401
    type = "authentication_error"


class InsufficientCredits(HyperealError):
    """The wallet cannot pay for the worst case of this call, or is below the least balance."""

    status = 402
    type = "insufficient_credits"


class SpendingLimitReached(HyperealError):
    """The key's limit for this calendar month (UTC) is used up."""

    status = 402
    type = "spending_limit_reached"


class PermissionDenied(HyperealError):
    """The key or role may not do this."""

    status = 403
    type = "permission_error"


class NotFound(HyperealError):
    """Unknown route, or an object that is not there for this caller."""

    status = 404
    type = "not_found_error"


class MethodNotAllowed(HyperealError):
    """The route exists, but not for this method."""

    status = 405
    type = "invalid_request_error"


class Conflict(HyperealError):
    """A name is taken, or an idempotency key was used with another body."""

    status = 409
    type = "conflict_error"


class RequestTooLarge(HyperealError):
    """The body is over the limit."""

    status = 413
    type = "request_too_large"


class UpgradeRequired(HyperealError):
    """A WebSocket was asked for where only plain HTTP is served; Codex falls back at once on this status."""

    status = 426
    type = "invalid_request_error"


class RateLimited(HyperealError):
    """Over a quota of requests; `retry_after_s` says when the window ends, in whole seconds."""

    status = 429
    type = "rate_limit_error"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message, headers=_retry_after(retry_after_s))


class InternalError(HyperealError):
    """Our fault. The message never holds what went wrong inside."""


class UpstreamFailed(HyperealError):
    """Every target of the chain failed."""

    status = 502


class Overloaded(HyperealError):
    """We, or every target, cannot take this now."""

    status = 503
    type = "overloaded_error"

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message, headers=_retry_after(retry_after_s))


class UpstreamTimeout(HyperealError):
    """The deadline passed before any target answered."""

    status = 504
    type = "timeout_error"


def _retry_after(seconds: int) -> dict[str, str]:
    """Clients sleep the whole value without a cap of their own, so ours is small."""
    return {"retry-after": str(max(1, min(seconds, RETRY_AFTER_S_MAX)))}
