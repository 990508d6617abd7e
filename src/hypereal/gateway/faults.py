"""What the failures of upstreams mean: who is to blame, and whether asking again can help. The classes are data."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from hypereal.kit.clock import utc_now
from hypereal.net import AnswerHead

CALLERS_FAULT = frozenset({400, 413, 422})
"""What every target would say again, so the caller is told at once."""
OVERLOAD = frozenset({429, 503, 529})
RETRY_AFTER_S_MAX = 3600.0
_BODY_BYTES_READ = 16 * 1024


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One class of failure of a target."""

    name: str
    may_mend: bool
    """The same target may answer the same request a moment later."""
    rests_key_s: float = 0.0
    """For how long the key that was used is left alone, unless the answer says. Another key may do at once."""
    is_alarm: bool = False
    """An operator must do something: it does not end by itself."""


LOST = Fault(name="lost", may_mend=True)
"""The connection failed, broke, or spoke no HTTP."""
SILENT = Fault(name="silent", may_mend=True)
"""Nothing, or nothing but signs of life, came for the provider's `timeout_s`."""
KEY = Fault(name="key", may_mend=False, rests_key_s=300.0, is_alarm=True)
"""The vendor does not take our key: unknown, revoked, unpaid, not for this model."""
LIMITED = Fault(name="limited", may_mend=True, rests_key_s=5.0)
ABSENT = Fault(name="absent", may_mend=False, is_alarm=True)
"""The vendor does not know the model or the path: the catalog is wrong."""
BROKEN = Fault(name="broken", may_mend=True)
"""The upstream's own fault, by status or inside a 200."""
ODD = Fault(name="odd", may_mend=False)
"""A redirect, or an answer that fits no other class."""

_BY_STATUS: Mapping[int, Fault] = {
    200: BROKEN,
    401: KEY,
    402: KEY,
    403: KEY,
    404: ABSENT,
    408: BROKEN,
    409: BROKEN,
    410: ABSENT,
    429: LIMITED,
}

FAULTS = (LOST, SILENT, KEY, LIMITED, ABSENT, BROKEN, ODD)


def fault_of(status: int) -> Fault:
    """The class of a failure with this status, the one inside a 200 included."""
    return _BY_STATUS.get(status) or (BROKEN if status >= 500 else ODD)


_retry_delay = re.compile(rb'"retryDelay"\s*:\s*"([0-9]{1,5}(?:\.[0-9]{1,9})?)s"').search
_seconds = re.compile(rb"[0-9]{1,7}(?:\.[0-9]{1,9})?").fullmatch


def retry_after_s(head: AnswerHead, body: bytes) -> float | None:
    """How long the upstream asks to be left alone: `retry-after-ms`, `retry-after` (seconds or a date), Google's body.

    None where it does not say, or says nothing that can be read.
    """
    said = head.get(b"retry-after-ms")
    if _seconds(said):
        return min(float(said) / 1000, RETRY_AFTER_S_MAX)
    said = head.get(b"retry-after")
    if _seconds(said):
        return min(float(said), RETRY_AFTER_S_MAX)
    if said:
        return _until(said)
    found = _retry_delay(body[:_BODY_BYTES_READ])
    return None if found is None else min(float(found.group(1)), RETRY_AFTER_S_MAX)


def _until(date: bytes) -> float | None:
    try:
        left_s = (parsedate_to_datetime(date.decode("latin-1")) - utc_now()).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(0.0, math.ceil(left_s)), RETRY_AFTER_S_MAX)
