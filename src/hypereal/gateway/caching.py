"""Hypereal Cache: prefixes are marked where the vendor's cache will earn more than it costs, and the caller is told.

`wire/cache_breakpoints.py` knows where marks may stand, `cache_economy.py` which are worth their price.
"""

from typing import TYPE_CHECKING

from hypereal.gateway.cache_economy import report
from hypereal.gateway.offers import Offer
from hypereal.kit.clock import coarse
from hypereal.kit.usage import Usage
from hypereal.net import Upstream
from hypereal.wire import Request, cache_delta_at, find_prefixes, has_cache_delta, report_in_stream

if TYPE_CHECKING:
    from hypereal.gateway.bill import Bill
    from hypereal.gateway.plane import Plane
    from hypereal.gateway.routing import Way


def mark_prefixes(bill: "Bill", plane: "Plane", offer: Offer, request: Request) -> None:
    """Mark what of REQUEST is worth it. Where the caller marks prefixes itself it stays as it is."""
    assert offer.cache_tokens_min is not None and bill.price is not None
    prefixes = find_prefixes(request.fields, request.size_bytes, offer.cache_tokens_min)
    if prefixes is None:
        return
    name = (bill.payer.key_id, offer.model.id)
    bill.cache_plan = plan = plane.economy.plan(name, prefixes.found, bill.price, coarse.monotonic_s)
    if plan.prefixes:
        request.fields = prefixes.mark(plan.prefixes)


def uses_cache(usage: Usage) -> bool:
    """Whether the vendor's cache was read or written."""
    return bool(usage.cache_read_tokens or usage.cache_write_tokens or usage.cache_write_1h_tokens)


class ReportRewriter:
    """Bytes through, but for the event that tells the usage: into it goes what the cache did."""

    __slots__ = ("_bill", "_upstream", "_way", "is_active", "wants")

    def __init__(self, bill: "Bill", way: "Way", upstream: Upstream) -> None:
        self._bill = bill
        self._way = way
        self._upstream = upstream
        self.is_active = False
        self.wants = has_cache_delta

    def starts_at(self, data: bytes) -> int:
        return cache_delta_at(data)

    def feed(self, events: bytes) -> bytes:
        usage = self._way.wire.usage_of_stream(self._upstream.first, events, self._way.profile)
        if usage is None or not uses_cache(usage) or self._bill.price is None:
            return events
        return report_in_stream(events, report(usage, self._bill.price))

    def end(self) -> bytes:
        return b""
