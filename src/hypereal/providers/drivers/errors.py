"""How vendors say what went wrong: by status, by a code, also within an answer of status 200."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.outcome import Answer, Failed, Fault, FaultKind, Unclear

DETAIL_CHARACTERS_MAX = 500
RETRY_AFTER_S_MAX = 86_400.0

TEXTS: Mapping[FaultKind, str] = {
    FaultKind.CALLER: "The provider of this model refused the request.",
    FaultKind.MODERATED: "The provider's content rules forbid this.",
    FaultKind.CREDENTIAL: "The provider of this model refuses our credential.",
    FaultKind.BALANCE: "The provider of this model has no capacity left for us.",
    FaultKind.RATE: "The provider of this model is over its rate limit.",
    FaultKind.VENDOR: "The provider of this model failed.",
    FaultKind.LOST: "The provider of this model no longer knows this task.",
    FaultKind.CANCELLED: "It was cancelled at the provider.",
}
_TOLD = frozenset({FaultKind.CALLER, FaultKind.MODERATED})
"""The vendor's words about these are about the caller's request; what it says of others may be about us."""
_STATUSES: Mapping[int, FaultKind] = {
    401: FaultKind.CREDENTIAL,
    402: FaultKind.BALANCE,
    403: FaultKind.CREDENTIAL,
    404: FaultKind.LOST,
    410: FaultKind.LOST,
    408: FaultKind.VENDOR,
    409: FaultKind.VENDOR,
    425: FaultKind.VENDOR,
    429: FaultKind.RATE,
}


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """Where a vendor's answers hold an error, and what its codes mean."""

    codes: tuple[str, ...] = ("error.code", "error.type", "code")
    """Paths, the most telling first: each is looked up until one is in `kinds`."""
    messages: tuple[str, ...] = ("error.message", "message", "error", "detail")
    kinds: Mapping[str, FaultKind] = {}
    """Code -> kind; '*' in a code stands for any text. Codes win over the status."""
    within_ok: str = ""
    """A path at which an answer of status 200 says whether it is one after all;"""
    ok: frozenset[str] = frozenset()
    """and what it says if so. Nothing there at all is no error."""
    retry_after: str = ""
    """A path to a pause in seconds, also as '22s'."""
    statuses: Mapping[int, FaultKind] = {}
    """Where one means something else here than everywhere."""


def decode(answer: Answer) -> Any:
    """The JSON of ANSWER, None where it is none."""
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return None


def is_error(errors: Errors, answer: Answer, said: Any) -> bool:
    """Whether ANSWER, whose JSON is SAID, tells of an error."""
    if answer.status >= 300:
        return True
    return bool(errors.within_ok) and paths.text(said, errors.within_ok) not in ("", *errors.ok)


def fault_of(errors: Errors, answer: Answer, said: Any) -> Fault:
    """What went wrong with the request that ANSWER is the answer to."""
    found = [code for path in errors.codes for one in paths.every(said, path) if (code := paths.text(one, ""))]
    kinds = [(kind, code) for code in found if (kind := kind_of(errors.kinds, code)) is not None]
    kind, code = kinds[0] if kinds else (_by_status(errors, answer.status), found[0] if found else "")
    detail = _message(said, errors.messages)
    return fault(kind, detail, code, retry_after_s=_retry_after_s(errors, answer, said))


def fault(kind: FaultKind, detail: str = "", code: str = "", retry_after_s: float | None = None) -> Fault:
    """A fault of KIND whose message is safe to show; DETAIL is the vendor's words."""
    words = "".join(one if one.isprintable() else " " for one in detail[:DETAIL_CHARACTERS_MAX]).strip()
    message = f"{TEXTS[kind]} {words}".strip() if kind in _TOLD and words else TEXTS[kind]
    return Fault(kind=kind, message=message, detail=words, code=code[:100], retry_after_s=retry_after_s)


def kind_of(kinds: Mapping[str, FaultKind], code: str) -> FaultKind | None:
    """What CODE means by KINDS."""
    exact = kinds.get(code)
    if exact is not None:
        return exact
    return next((kind for pattern, kind in kinds.items() if "*" in pattern and fnmatchcase(code, pattern)), None)


def refused(errors: Errors, answer: Answer, said: Any) -> Failed | Unclear:
    """What a submit that was answered with an error comes to.

    An error that the vendor's own program wrote means that nothing was begun; what a proxy before it says of a request
    that it passed on (HTML, a bare 502 or 504) does not. A model that is not there is our catalog's fault.
    """
    told = fault_of(errors, answer, said)
    if told.kind is FaultKind.LOST:
        told = fault(FaultKind.VENDOR, told.detail, told.code)
    is_own = isinstance(said, dict) and answer.status not in (502, 504)
    return Failed(fault=told) if answer.status in range(400, 500) or is_own else Unclear(fault=told)


def garbled(answer: Answer) -> Unclear:
    """An answer that is not what the vendor documents."""
    shown = answer.body[:200].decode("utf-8", "replace")
    return Unclear(fault=fault(FaultKind.VENDOR, f"status {answer.status}, unreadable: {shown}"))


def _by_status(errors: Errors, status: int) -> FaultKind:
    kind = errors.statuses.get(status) or _STATUSES.get(status)
    if kind is not None:
        return kind
    return FaultKind.CALLER if 400 <= status < 500 else FaultKind.VENDOR


def _message(said: Any, places: tuple[str, ...]) -> str:
    """The first text at PLACES; where a place holds a list, as FastAPI's `detail`, what its members say."""
    for place in places:
        for found in paths.every(said, place):
            listed = found if isinstance(found, list) else [found]
            words = [one if isinstance(one, str) else paths.text(one, "msg", "message", "detail") for one in listed]
            if any(words):
                return "; ".join(word for word in words if word)
    return ""


_seconds = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)s?").fullmatch
_resets_in = re.compile(r"(?:resets|try again) in ~?([0-9]{1,5}(?:\.[0-9]{1,9})?)s\b").search
"""As Replicate and OpenAI write it in a message, where no header says it."""


def _retry_after_s(errors: Errors, answer: Answer, said: Any) -> float | None:
    """The pause that ANSWER asks for: a header's, else the body's."""
    headers = answer.headers
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds:
        return min(float(milliseconds[1]) / 1000, RETRY_AFTER_S_MAX)
    told = headers.get("retry-after", "").strip()
    found = _seconds(told) or _seconds(paths.text(said, errors.retry_after) if errors.retry_after else "")
    found = found or _resets_in(_message(said, errors.messages))
    pause_s = float(found[1]) if found else _until(told, headers.get("date", ""))
    return None if pause_s is None else min(pause_s, RETRY_AFTER_S_MAX)


def _until(then: str, now: str) -> float | None:
    """Seconds between two dates of HTTP, both by the vendor's clock."""
    try:
        return max((parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None
