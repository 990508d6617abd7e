"""What the vendor's cache did for a call, spliced into its answer as `hypereal.cache`. Every other byte stays."""

import re
from collections.abc import Callable

import msgspec

from hypereal.kit.money import Micro, credits
from hypereal.wire import events, members

_DELTA = b'"message_delta"'
"""Inside a text its quotes would be escaped: what is found is the name of a type."""
has_cache_delta: Callable[[bytes], object] = re.compile(_DELTA).search
"""Whether `cache_delta_at` would find something, at less cost."""


class CacheReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Input tokens that were read from the cache and written to it, and the micro-credits that this saved."""

    read_tokens: int
    written_tokens: int
    saved: Micro
    """Below 0 where the writes cost more than the reads saved."""


class _Event(msgspec.Struct, gc=False):
    type: str = ""


_event = msgspec.json.Decoder(_Event)


def report_in_answer(body: bytes, report: CacheReport) -> bytes:
    """BODY, one JSON object, with REPORT as its last member. Where it has one of that name, the last counts."""
    end = body.rindex(b"}")
    comma = b"" if body[:end].rstrip().endswith(b"{") else b","
    return b"%s%s%s%s" % (body[:end], comma, _member(report), body[end:])


def report_in_stream(stream: bytes, report: CacheReport) -> bytes:
    """STREAM, whole events of Messages, with REPORT in the last `message_delta`; as it came where there is none."""
    parts = list(events.split(stream))
    for index in reversed(range(len(parts))):
        if _DELTA in parts[index] and _is_delta(parts[index]):
            parts[index] = _in_event(parts[index], report)
            return b"".join(parts)
    return stream


def cache_delta_at(read: bytes) -> int:
    """Where in READ, whole events of a stream, the last `message_delta` may be; -1: nowhere."""
    return read.rfind(_DELTA)


def _is_delta(event: bytes) -> bool:
    payloads = list(events.payloads(event))
    try:
        return len(payloads) == 1 and _event.decode(payloads[0]).type == "message_delta"
    except members.UNREADABLE:
        return False


def _in_event(event: bytes, report: CacheReport) -> bytes:
    """The payload ends on the last line of data, whatever lines follow it."""
    at = max(event.rfind(b"\ndata:"), event.rfind(b"\rdata:")) + 1
    ends = [end for mark in (b"\n", b"\r") if (end := event.find(mark, at)) >= 0]
    end = min(ends, default=len(event))
    return report_in_answer(event[:end], report) + event[end:]


def _member(report: CacheReport) -> bytes:
    return b'"hypereal":{"cache":{"read_tokens":%d,"written_tokens":%d,"saved_credits":%s}}' % (
        report.read_tokens,
        report.written_tokens,
        credits(report.saved).encode(),
    )
