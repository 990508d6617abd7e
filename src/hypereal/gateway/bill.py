"""What one call costs and who pays for it: held before it costs anything, settled exactly once, logged in any case."""

import math
from time import monotonic
from typing import TYPE_CHECKING, Final

from hypereal.accounts import Principal
from hypereal.catalog import Model, Price, price_of, surcharged, surcharges, worst_case
from hypereal.gateway.cache_economy import Plan, report
from hypereal.gateway.caching import uses_cache
from hypereal.gateway.call import Call
from hypereal.gateway.metrics import Meter
from hypereal.gateway.offers import Offer
from hypereal.gateway.routing import Target, Way
from hypereal.gateway.stickiness import Fingerprint
from hypereal.kit.clock import utc_text
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InsufficientCredits
from hypereal.kit.usage import Usage
from hypereal.ledger import Asked, Asker, Attempt, Details, Hold, Settlement, Ticket, UsageRow
from hypereal.limits import Quota
from hypereal.wire import DIALECTS, CacheReport, Request, tags_of

if TYPE_CHECKING:
    from hypereal.gateway.plane import Plane

OUTPUT_TOKENS_DEFAULT: Final = 4096
"""Held where the caller names no limit; grown in steps of as much as the stream goes on."""
IMAGES_LIKELY_BYTES: Final = 1024 * 1024
"""From here on a body is searched for images before the hold; below, only where the hold is refused."""
GROW_AT_PERCENT: Final = 80
BYTES_PER_TOKEN: Final = 4
STATUS_CLIENT_GONE: Final = 499
MODEL_CHARS_MAX: Final = 200
NO_TAGS: Final = (None, None)
RESPONSES: Final = Dialect.OPENAI_RESPONSES


class Bill:
    """One call's money. `settle` closes the hold; `close`, always called last, settles what is still open."""

    __slots__ = (
        "_answer_id",
        "_call",
        "_hold",
        "_output_tokens_held",
        "_plane",
        "_rate_percent",
        "_searches_held",
        "_ticket",
        "answer",
        "attempts",
        "cache_plan",
        "cache_report",
        "conversation",
        "error_type",
        "is_logged",
        "key_number",
        "model",
        "price",
        "principal",
        "quota",
        "request",
        "settlement",
        "status",
        "tried",
        "usage",
        "way",
    )

    def __init__(self, call: Call, plane: "Plane") -> None:
        self._call = call
        self._plane = plane
        self.principal: Principal | None = None
        self.quota: Quota | None = None
        self.request: Request | None = None
        self.model: Model | None = None
        self.way: Way | None = None
        self.answer = b""
        """A plain answer, as the upstream gave it."""
        self.usage: Usage | None = None
        """What it said that it consumed; once settled, what was charged for."""
        self.settlement: Settlement | None = None
        self.attempts = 0
        self.tried: tuple[Attempt, ...] | None = None
        """Those that failed."""
        self.key_number = 0
        """Of the provider's keys, the one to use."""
        self.status = 0
        self.error_type: str | None = None
        self.is_logged = False
        self._hold: Hold | None = None
        self._ticket: Ticket | None = None
        self.price: Price | None = None
        """The one that the call began with."""
        self.conversation: Fingerprint | None = None
        """Where it matters which target and key it stays with."""
        self.cache_plan: Plan | None = None
        """What was marked for the vendor's cache; open until the call is settled or closed."""
        self.cache_report: CacheReport | None = None
        """What that cache did, once the call is settled and it did anything."""
        self._output_tokens_held = 0
        self._rate_percent = 100
        self._searches_held = 0
        self._answer_id: str | None = None

    @property
    def payer(self) -> Principal:
        """Who pays. Only once the call is authenticated."""
        assert self.principal is not None
        return self.principal

    def note(self, failed: Attempt) -> None:
        """One request to one target has failed."""
        self.tried = (*(self.tried or ()), failed)

    # -- before ----------------------------------------------------------------------------------------------------

    def hold(self, request: Request, offer: Offer) -> bool:
        """Hold the worst case of REQUEST (contract 1.3). False where the database must be asked: `wait_for_hold` then.

        Raises InvalidRequest (a field that would change the price in a way that is not billed), Overloaded.
        """
        price = offer.price
        surcharge = surcharges(request.dialect, request.fields)
        if surcharge.rate_percent != 100:
            self._rate_percent = surcharge.rate_percent
            price = surcharged(price, surcharge.rate_percent)
        self.price = price
        outputs = request.output_tokens_max or OUTPUT_TOKENS_DEFAULT
        if outputs > offer.output_tokens_max:
            outputs = offer.output_tokens_max
        self._output_tokens_held = outputs = outputs * request.choices
        self._searches_held = searches = surcharge.web_searches_max
        inputs = request.size_bytes
        if inputs > IMAGES_LIKELY_BYTES:
            inputs = DIALECTS[request.dialect].input_tokens_max(request)
        if inputs > offer.context_tokens_max:
            inputs = offer.context_tokens_max
        amount = worst_case(price, inputs, outputs, searches)
        ledger, payer = self._plane.ledger, self.payer
        self._hold = ledger.hold_now(payer, amount)
        if self._hold is not None:
            return True
        self._ticket = ledger.hold(payer, amount, self._call.wake)
        return False

    async def wait_for_hold(self, offer: Offer) -> None:
        """The rest of `hold`. Raises InsufficientCredits, SpendingLimitReached, Overloaded."""
        request, price = self.request, self.price
        assert request is not None and price is not None
        try:
            self._hold = await self._take()
        except InsufficientCredits:
            if request.size_bytes > IMAGES_LIKELY_BYTES:
                raise
            # A token is a byte at most, but an image has far fewer tokens than bytes: look closer.
            inputs = min(DIALECTS[request.dialect].input_tokens_max(request), offer.context_tokens_max)
            amount = worst_case(price, inputs, self._output_tokens_held, self._searches_held)
            self._ticket = self._plane.ledger.hold(self.payer, amount, self._call.wake)
            self._hold = await self._take()

    async def _take(self) -> Hold:
        ticket = self._ticket
        assert ticket is not None
        if ticket.is_pending:
            try:
                await self._call.wait()
            except BaseException:
                self._plane.ledger.cancel(ticket)
                raise
        return ticket.take()

    def grow_with_stream(self) -> None:
        """Once a second: a stream that nears what is held for its output gets more, or is ended in-band."""
        hold, request, way, upstream = self._hold, self.request, self.way, self._call.upstream
        if hold is None or request is None or way is None or upstream is None or self.price is None:
            return
        enough = self._output_tokens_held * GROW_AT_PERCENT // 100
        if request.output_tokens_max is not None or upstream.relayed_bytes < enough * BYTES_PER_TOKEN:
            return
        if self._output_tokens() < enough:
            return
        self._output_tokens_held += OUTPUT_TOKENS_DEFAULT
        extra = worst_case(self.price, 0, OUTPUT_TOKENS_DEFAULT)

        def decided() -> None:
            try:
                ticket.take()
            except HyperealError as error:
                self._call.fail(error)

        ticket = self._plane.ledger.grow(hold, extra, decided)
        if not ticket.is_pending:
            decided()

    # -- after -----------------------------------------------------------------------------------------------------

    def settle(self, usage: Usage | None, *, status: int) -> Settlement:
        """Charge USAGE; None where the upstream did not say: then what was seen is counted here and marked."""
        hold, self._hold = self._hold, None
        price, way = self.price, self.way
        assert hold is not None and price is not None and way is not None, "settled once, and only what was asked for"
        self.status = status
        if usage is None or usage.is_estimated:
            usage = self._estimate(usage)
        if way.dialect == RESPONSES:
            self._keep_answer(way)
        if way.is_messages:
            self._account_cache(usage)
        meter = way.target.meter or self._meter_of(way.target)
        self.usage = usage
        row = self._row(way, meter, usage)
        self.settlement = settlement = self._plane.ledger.settle(hold, price_of(price, usage), usage, row)
        self.is_logged = True
        meter.spend(usage, settlement.charged, settlement.written_off)
        return settlement

    def _account_cache(self, usage: Usage | None) -> None:
        """What the vendor's cache did goes to the log, and to the account of the key that pays for its writes."""
        plan, self.cache_plan = self.cache_plan, None
        if plan is not None:
            self._plane.economy.settle(plan, None if usage is None or usage.is_estimated else usage)
        if usage is not None and self.price is not None and uses_cache(usage):
            self.cache_report = report(usage, self.price)

    def _meter_of(self, target: Target) -> Meter:
        assert self.model is not None
        target.meter = self._plane.meters.of(self.model.id, target.provider.name)
        return target.meter

    def _keep_answer(self, way: Way) -> None:
        """The answer is the payer's alone to continue, where its format lets one continue it."""
        upstream = self._call.upstream
        assert upstream is not None
        answer_id = way.wire.answer_id(upstream.first if upstream.is_stream else self.answer)
        if answer_id is not None:
            self._answer_id = answer_id
            self._plane.continuations.keep(self.payer.owner_id, answer_id, way.target.name)
            if self.conversation is not None:
                self._plane.stickiness.answered(self, way, answer_id)

    def close(self) -> None:
        """The call is over, however it ended. Where nothing of an upstream's answer went out, it costs nothing."""
        if self.is_logged:
            return
        self.is_logged = True
        if self.cache_plan is not None and self._hold is None:
            self._account_cache(None)
        hold, self._hold = self._hold, None
        if hold is not None and self._call.is_started and self._call.first_byte_s:
            self._hold = hold
            self.is_logged = False
            self.settle(self._seen(), status=self.status)
            self._plane.ledger.write_down()  # maybe nothing more is sent
            return
        if self.principal is None:
            return
        way = self.way
        row = (
            self._row_of_refused()
            if way is None
            else self._row(way, way.target.meter or self._meter_of(way.target), None)
        )
        if hold is not None:
            self._plane.ledger.release(hold, row)
            self._plane.ledger.write_down()
        else:
            self._plane.ledger.record(row)

    def _seen(self) -> Usage | None:
        """What a stream that did not come to its end has said of its usage."""
        upstream, way = self._call.upstream, self.way
        if upstream is None or way is None:
            return None
        return way.wire.usage_of_stream(upstream.first, upstream.events(), way.profile)

    def _estimate(self, said: Usage | None) -> Usage:
        assert self.request is not None
        outputs = max(self._output_tokens(), said.output_tokens if said else 0)
        if said is not None:
            return Usage(
                input_tokens=said.input_tokens,
                cache_read_tokens=said.cache_read_tokens,
                cache_write_tokens=said.cache_write_tokens,
                cache_write_1h_tokens=said.cache_write_1h_tokens,
                output_tokens=outputs,
                reasoning_tokens=said.reasoning_tokens,
                web_searches=said.web_searches,
                is_estimated=True,
            )
        inputs = DIALECTS[self.request.dialect].estimate_input(self.request)
        return Usage(input_tokens=inputs, output_tokens=outputs, is_estimated=True)

    def _output_tokens(self) -> int:
        """Output so far, counted here: a quarter of the bytes of its text, scaled up from the tail of a stream."""
        upstream, way = self._call.upstream, self.way
        if upstream is None or way is None or upstream.head is None:
            return 0
        if not upstream.is_stream:
            return way.wire.estimate_output(self.answer)
        _, text_bytes = way.wire.output_text_bytes(upstream.events())
        scale = upstream.relayed_bytes / max(1, upstream.tail_bytes)
        return math.ceil(text_bytes * scale / BYTES_PER_TOKEN)

    def _row(self, way: Way, meter: Meter, usage: Usage | None) -> UsageRow:
        """The row of a call that was sent somewhere and consumed USAGE; counts it in METER too."""
        call, request, payer, target = self._call, self.request, self.principal, way.target
        assert request is not None and payer is not None
        began_s, first_byte_s = call.began_s, call.first_byte_s
        duration_s = monotonic() - began_s
        first_s = first_byte_s - began_s if first_byte_s else duration_s
        meter.count(self.error_type or "ok", first_s, duration_s)
        stem, price = call.facts.stem, self.price
        asker = stem.encoded if stem.of is payer else stem.become(payer, self._asker(call.facts.endpoint))
        stem = way.stem
        asked = stem.encoded if stem.of is price else stem.become(price, self._asked(way))
        fields = request.fields
        end_user, metadata = tags_of(request) if "user" in fields or "metadata" in fields else NO_TAGS
        details = Details(
            request_id=call.request_id,
            started_at=utc_text(began_s + self._plane.unix_minus_monotonic_s),
            status=self.status,
            is_stream=request.stream,
            attempts=self.attempts,
            duration_ms=int(duration_s * 1000),
            first_byte_ms=int(first_s * 1000) if first_byte_s else None,
            error_type=self.error_type,
            tried=self.tried,
            cache_saved=None if self.cache_report is None else self.cache_report.saved,
            upstream_id=self._answer_id,
            end_user=end_user,
            metadata=metadata,
            upstream_cost=None if target.cost is None or usage is None else self._upstream_cost(target.cost, usage),
        )
        return UsageRow(asker + asked, details)

    def _asker(self, endpoint: str) -> Asker:
        facts, payer = self._call.facts, self.payer
        return Asker(
            owner_id=payer.owner_id, key_id=payer.key_id, endpoint=endpoint, client=facts.client, app=facts.app
        )

    def _asked(self, way: Way) -> Asked:
        """A way belongs to one model, for callers of one dialect."""
        request, model, target = self.request, self.model, way.target
        assert request is not None and model is not None
        return Asked(
            dialect=request.dialect,
            model=model.id,
            provider=target.provider.name,
            target=target.model,
            price_version=None if self.price is None else self.price.version,
        )

    def _upstream_cost(self, cost: Price, usage: Usage) -> int:
        """What the vendor takes for USAGE: a surcharge of ours is one of its own."""
        return price_of(surcharged(cost, self._rate_percent), usage)

    def _row_of_refused(self) -> UsageRow:
        """The row of a call that was refused before it had a target."""
        call, request = self._call, self.request
        route = call.facts.route
        assert route is not None
        duration_s = monotonic() - call.began_s
        self._plane.meters.of("none", "none").count(self.error_type or "ok", duration_s, duration_s)
        end_user, metadata = NO_TAGS if request is None else tags_of(request)
        asked = Asked(
            dialect=route.dialect if request is None else request.dialect,
            model=self.model.id if self.model else request.model[:MODEL_CHARS_MAX] if request else "",
        )
        details = Details(
            request_id=call.request_id,
            started_at=utc_text(call.began_s + self._plane.unix_minus_monotonic_s),
            status=self.status,
            error_type=self.error_type,
            is_stream=request is not None and request.stream,
            attempts=0,
            duration_ms=int(duration_s * 1000),
            end_user=end_user,
            metadata=metadata,
        )
        return UsageRow.of(self._asker(route.endpoint), asked, details)
