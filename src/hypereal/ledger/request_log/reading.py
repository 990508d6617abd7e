"""What owners read of their own calls: pages of rows, sums, the dearest calls, and all rows as a stream."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import msgspec

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.errors import InvalidRequest, Overloaded
from hypereal.kit.ids import AccountId
from hypereal.kit.money import Micro
from hypereal.ledger.request_log import store
from hypereal.ledger.request_log.store import Match, Place

TOP = 10
WORDS_MAX = 100
GROUPS_MAX = 1_000
"""Models, keys or apps that a report names."""
STREAM_ROWS = 1_000
"""Rows of a stream that are in memory at once."""
DAYS_MAX = 400
WORDS = frozenset({"user", "endpoint", "provider", "app", "status"})
LAST = Place(started_at=datetime(9999, 1, 1, tzinfo=UTC), request_id="")
FIRST = Place(started_at=datetime(1, 1, 2, tzinfo=UTC), request_id="")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One page of an owner's calls, and what they come to."""

    rows: list[asyncpg.Record]
    next: Place | None
    dearest: list[asyncpg.Record]
    sums: dict[int, list[asyncpg.Record]]
    """By the kinds of `store.sums`."""
    by_word: list[asyncpg.Record] | None


class Profit(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of all owners to one model at one provider brought and cost, micro-credits."""

    model: str
    provider: str
    """'' for those that were refused before they had one."""
    calls: int
    errors: int
    input_tokens: int
    """Those of caches included."""
    output_tokens: int
    charged: Micro
    upstream_cost: Micro
    """What the vendor takes, as far as it is known."""
    upstream_charged: Micro
    """Of `charged`, that of calls whose cost at the vendor is known."""
    upstream_unknown: int
    """Calls whose cost at the vendor is not known."""

    @property
    def margin(self) -> Micro:
        """What is left of calls whose cost at the vendor is known."""
        return Micro(self.upstream_charged - self.upstream_cost)


async def profit(database: Database, days: int) -> list[Profit]:
    """For operators: of the last DAYS (UTC), today included, the model that brought most first."""
    async with database.connection() as connection:
        rows = await store.profit(connection, since_of(days), utc_now() + timedelta(days=1))
    return [Profit(**dict(row)) for row in rows]


def since_of(days: int) -> datetime:
    """The beginning of the first of so many days (UTC), of which today is the last."""
    return datetime.combine(utc_now().date() - timedelta(days=days - 1), time(), UTC)


def days_from(since: datetime) -> list[date]:
    """The days (UTC) from SINCE until today."""
    return [since.date() + timedelta(days=number) for number in range((utc_now().date() - since.date()).days + 1)]


async def report(
    database: Database, owner_id: AccountId, match: Match, *, before: Place | None, limit: int, by: str | None = None
) -> Report:
    """The owner's calls that MATCH, from BEFORE on; BY: what they cost by a word of theirs.

    Sums know of model, key, provider and app only. Raises InvalidRequest for a BY that is none, Overloaded where it
    takes too long.
    """
    word = _word(by) if by else None
    try:
        async with database.connection() as connection:
            found = await store.newest(connection, owner_id, match, before or LAST, limit + 1)
            dearest = await store.dearest(connection, owner_id, match, TOP)
            sums = await store.sums(connection, owner_id, match)
            words = word and await store.by_word(connection, owner_id, match, word, WORDS_MAX)
    except asyncpg.QueryCanceledError:
        raise Overloaded("That takes too long: ask for fewer days, or for less that is rare.") from None
    rows = found[:limit]
    by_kind: dict[int, list[asyncpg.Record]] = {}
    for row in sums:
        of_kind = by_kind.setdefault(row["kind"], [])
        if len(of_kind) < GROUPS_MAX:
            of_kind.append(row)
    return Report(
        rows=rows,
        next=place_of(rows[-1]) if len(found) > limit else None,
        dearest=dearest,
        sums=by_kind,
        by_word=words,
    )


async def find(database: Database, owner_id: AccountId, request_id: str) -> asyncpg.Record | None:
    """The owner's call REQUEST_ID; None where there is none, or its row is not kept any more."""
    async with database.connection() as connection:
        return await store.find(connection, owner_id, request_id)


async def stream(database: Database, owner_id: AccountId, match: Match) -> AsyncIterator[list[asyncpg.Record]]:
    """All of the owner's calls that MATCH, the oldest first, a page at a time. Between pages nothing is held."""
    after = FIRST
    while True:
        async with database.connection() as connection:
            rows = await store.oldest(connection, owner_id, match, after, STREAM_ROWS)
        yield rows
        if len(rows) < STREAM_ROWS:
            return
        after = place_of(rows[-1])


def place_of(row: Any) -> Place:
    """Where ROW is in the order of time."""
    return Place(started_at=row["started_at"], request_id=row["request_id"])


def _word(by: str) -> tuple[str, str]:
    name, _, tag = by.partition(":")
    if by in WORDS:
        return by, ""
    if name == "tag" and tag:
        return "", tag
    raise InvalidRequest(f"by: give one of {', '.join(sorted(WORDS))} or tag:NAME.", param="by")
