"""The request log's routes of the control process: `/api/api-usage` and its export."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.asked import PAGE_MAX, query_of
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.errors import InvalidRequest, NotFound
from hypereal.kit.ids import KeyId
from hypereal.kit.money import credits_json
from hypereal.ledger.request_log import bodies, reading, sheet, store
from hypereal.ledger.request_log.store import Match, Place

EXPORT_READS_MAX = 2
"""Pages that all exports together read at once."""
AFTER = re.compile(r"(\d{1,17})\.([\w.-]{1,100})", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """What both routes take: which calls."""

    days: Annotated[int, msgspec.Meta(ge=1, le=reading.DAYS_MAX)] = 30
    """So many days (UTC), of which today is the last."""
    model: str = ""
    key: str = ""
    provider: str = ""
    app: str = ""
    endpoint: str = ""
    user: str = ""
    status: str = ""
    """`429`, `4xx`, `ok` (below 400) or `error`."""
    tag: str = ""
    """`NAME:VALUE`, of the call's metadata."""
    q: str = ""
    """A request id, or a text that stands in the id, model, provider, error type, user, app, client or metadata."""


class UsageQuery(Narrowed, frozen=True, kw_only=True):
    """What the log is asked with."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 50
    after: str = ""
    """`next` of the page before."""
    by: str = ""
    """Sum up by `user`, `app`, `provider`, `endpoint`, `status` or `tag:NAME` too, as `costBy`."""


class Logged(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One call."""

    id: str
    started_at: datetime
    key_id: KeyId
    endpoint: str
    dialect: str
    model: str
    provider: str | None
    target: str | None
    status: int
    error_type: str | None
    is_stream: bool
    attempts: int
    tried: msgspec.Raw
    """The requests to targets that failed."""
    latency_ms: int
    first_byte_ms: int | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    web_searches: int
    is_estimated: bool
    credits_used: msgspec.Raw
    cache_saved_credits: msgspec.Raw
    app: str | None
    user: str | None
    metadata: msgspec.Raw
    client: str
    price_version: str | None


class Bodies(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a call asked and was answered: without credentials and media, and not beyond a bound."""

    request: str
    request_is_cut: bool
    response: str
    """Of a stream, its events."""
    response_is_cut: bool
    kept_until: date
    """The last day (UTC) on which they are kept."""


class LoggedCall(Logged, frozen=True, kw_only=True, rename="camel"):
    """One call with its bodies."""

    bodies: Bodies | None
    """None: its key did not ask for them, or they are not kept any more."""


class Sums(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What calls come to; of a model, a key, an app or a day."""

    model: str | None = None
    key_id: str | None = None
    app: str | None = None
    day: date | None = msgspec.field(default=None, name="date")
    calls: int
    errors: int
    """Those with a status of 400 or more."""
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    credits_used: msgspec.Raw
    cache_saved_credits: msgspec.Raw
    latency_ms: int | None
    """On the average."""
    first_byte_ms: int | None


class WordSum(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the calls that say one word come to."""

    value: str | None
    """None: those that say none."""
    is_rest: bool
    """All others together: beyond the hundred that cost most, or users of a day that are not told apart any more."""
    calls: int
    credits_used: msgspec.Raw


class Usage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole answer."""

    logs: list[Logged]
    next: str | None
    has_more: bool = msgspec.field(name="has_more")
    totals: Sums
    cost_by_model: list[Sums]
    cost_by_key: list[Sums]
    cost_by_app: list[Sums]
    daily_trend: list[Sums]
    top_expensive_requests: list[Logged]
    cost_by: list[WordSum] | None


class UsageRoutes:
    """The routes, and what they need."""

    def __init__(self, database: Database, bodies: bodies.Bodies) -> None:
        self._database = database
        self._bodies = bodies
        self._export_reads = asyncio.Semaphore(EXPORT_READS_MAX)

    async def show(self, request: Request, caller: Caller) -> Usage:
        """GET /api/api-usage"""
        query = query_of(request, UsageQuery)
        match = match_of(query)
        found = await reading.report(
            self._database, caller.owner_id, match, before=place_of(query.after), limit=query.limit, by=query.by or None
        )
        days = {row["day"]: row for row in found.sums.get(store.OF_DAY, ())}
        return Usage(
            logs=[logged(row) for row in found.rows],
            next=None if found.next is None else name_of(found.next),
            has_more=found.next is not None,
            totals=_sums(found.sums[store.OF_ALL][0]),
            cost_by_model=[_sums(row, model=row["model"]) for row in found.sums.get(store.OF_MODEL, ())],
            cost_by_key=[_sums(row, key_id=row["key_id"]) for row in found.sums.get(store.OF_KEY, ())],
            cost_by_app=[_sums(row, app=row["app"]) for row in found.sums.get(store.OF_APP, ()) if row["app"]],
            daily_trend=[_sums(days.get(day), day=day) for day in reading.days_from(match.since)],
            top_expensive_requests=[logged(row) for row in found.dearest],
            cost_by=None if found.by_word is None else [_word_sum(row) for row in found.by_word],
        )

    async def show_one(self, request: Request, caller: Caller) -> LoggedCall:
        """GET /api/api-usage/{id}"""
        request_id = request.path_params["id"]
        row = await reading.find(self._database, caller.owner_id, request_id)
        if row is None:
            raise NotFound("There is no such call.")
        kept = await self._bodies.find(caller.owner_id, request_id)
        return LoggedCall(
            **msgspec.structs.asdict(logged(row)),
            bodies=None
            if kept is None
            else Bodies(
                request=kept.request,
                request_is_cut=kept.request_is_cut,
                response=kept.answer,
                response_is_cut=kept.answer_is_cut,
                kept_until=kept.kept_until,
            ),
        )

    async def export(self, request: Request, caller: Caller) -> Response:
        """GET /api/api-usage/export: the first rows are read before the answer begins, so that refusals are answers."""
        match = match_of(query_of(request, Narrowed))
        pages = reading.stream(self._database, caller.owner_id, match)
        first = await self._next(pages)
        name = f"hypereal-usage-{utc_now():%Y-%m-%d}.csv"
        return StreamingResponse(
            self._lines(first or [], pages),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
        )

    async def _lines(
        self, first: list[asyncpg.Record], pages: AsyncIterator[list[asyncpg.Record]]
    ) -> AsyncIterator[bytes]:
        yield sheet.head() + sheet.lines(first)
        while (rows := await self._next(pages)) is not None:
            yield sheet.lines(rows)

    async def _next(self, pages: AsyncIterator[list[asyncpg.Record]]) -> list[asyncpg.Record] | None:
        async with self._export_reads:
            return await anext(pages, None)


def routes(database: Database, bodies: bodies.Bodies) -> list[ApiRoute]:
    """All of them."""
    usage = UsageRoutes(database, bodies)
    return [
        ApiRoute(
            method="GET",
            path="/api/api-usage",
            permission=Permission.READ_USAGE,
            summary="The account's calls, a page at a time, and what they cost by model, key, app and day.",
            endpoint=usage.show,
            query=UsageQuery,
        ),
        ApiRoute(
            method="GET",
            path="/api/api-usage/export",
            permission=Permission.READ_USAGE,
            summary="The same calls as CSV, the oldest first.",
            endpoint=usage.export,
            query=Narrowed,
        ),
        ApiRoute(
            method="GET",
            path="/api/api-usage/{id}",
            permission=Permission.READ_USAGE,
            summary="One call by its request id, with its bodies where its key keeps them.",
            endpoint=usage.show_one,
        ),
    ]


def match_of(query: Narrowed) -> Match:
    """Which rows QUERY asks for. Raises InvalidRequest that names the field."""
    least, most = _statuses(query.status)
    name, colon, value = query.tag.partition(":")
    if query.tag and not (name and colon):
        raise InvalidRequest("tag: give NAME:VALUE.", param="tag")
    is_id = re.fullmatch(r"req_[0-9a-f]{24}", query.q) is not None
    return Match(
        since=reading.since_of(query.days),
        until=utc_now() + timedelta(days=1),
        model=query.model or None,
        key_id=query.key or None,
        provider=query.provider or None,
        app=query.app or None,
        endpoint=query.endpoint.removeprefix("/v1/") or None,
        end_user=query.user or None,
        status_least=least,
        status_most=most,
        tags=msgspec.json.encode({name: value}).decode() if name else None,
        request_id=query.q if is_id else None,
        text=None if is_id else query.q or None,
    )


def name_of(place: Place) -> str:
    """PLACE as `next` names it: microseconds and request id."""
    return f"{(place.started_at - EPOCH) // timedelta(microseconds=1)}.{place.request_id}"


def place_of(name: str) -> Place | None:
    """The place that `after` names; None for ''. Raises InvalidRequest."""
    if not name:
        return None
    found = AFTER.fullmatch(name)
    if found is None:
        raise InvalidRequest("after: not the 'next' of a page.", param="after")
    return Place(started_at=EPOCH + timedelta(microseconds=int(found[1])), request_id=found[2])


def logged(row: Any) -> Logged:
    """ROW for its owner: what the vendor takes is not told."""
    same = {name: row[name] for name in Logged.__struct_fields__ if name in row}
    return Logged(
        **same
        | {
            "id": row["request_id"],
            "tried": msgspec.Raw((row["tried"] or "[]").encode()),
            "latency_ms": row["duration_ms"],
            "credits_used": credits_json(row["charged"]),
            "cache_saved_credits": credits_json(row["cache_saved"] or 0),
            "user": row["end_user"],
            "metadata": msgspec.Raw((row["metadata"] or "null").encode()),
        }
    )


def _statuses(status: str) -> tuple[int | None, int | None]:
    match status:
        case "":
            return None, None
        case "ok":
            return None, 399
        case "error":
            return 400, None
    if re.fullmatch("[1-5]xx", status):
        return int(status[0]) * 100, int(status[0]) * 100 + 99
    if re.fullmatch("[1-5][0-9]{2}", status):
        return int(status), int(status)
    raise InvalidRequest("status: give a number such as 429, 4xx, ok or error.", param="status")


_COUNTED = ("calls", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
_NOTHING = dict.fromkeys((*_COUNTED, "charged", "cache_saved", "duration_ms", "first_bytes", "first_byte_ms"), 0)


def _sums(row: Any, **of: Any) -> Sums:
    row = row or _NOTHING
    return Sums(
        **of,
        **{name: row[name] for name in _COUNTED},
        credits_used=credits_json(row["charged"]),
        cache_saved_credits=credits_json(row["cache_saved"]),
        latency_ms=_average(row["duration_ms"], row["calls"]),
        first_byte_ms=_average(row["first_byte_ms"], row["first_bytes"]),
    )


def _average(total: int, count: int) -> int | None:
    return round(total / count) if count else None


def _word_sum(row: Any) -> WordSum:
    return WordSum(
        value=row["word"], is_rest=row["is_rest"], calls=row["calls"], credits_used=credits_json(row["charged"])
    )
