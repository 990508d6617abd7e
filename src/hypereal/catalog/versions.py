"""Prices that were set here: versions of a model's price, each valid until the next one. They win over the files.

A version is whole: whatever the files say later, it stays what it was, and so does what was charged by it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from hypereal.catalog import store
from hypereal.catalog.price import Price
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.errors import InvalidRequest, NotFound

VERSIONS_MAX = 10_000
"""In force or to come, of all models."""
HISTORY_MAX = 1_000
NOTE_CHARS_MAX = 1_000

_price = msgspec.json.Decoder(Price)


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What MODEL costs from `valid_from` on. Without a price: what the files say."""

    id: int
    model: str
    price: Price | None
    """Its `version` names this version in the request log: 'p' and the id."""
    valid_from: datetime
    created_by: str
    note: str
    created_at: datetime


async def set_price(
    database: Database, model: str, price: Price | None, *, by: str, valid_from: datetime | None = None, note: str = ""
) -> PriceVersion:
    """Give MODEL a price, from now or a later moment on; None: that of the files. Every process knows within a second.

    Raises InvalidRequest for a moment that is past: its calls were charged.
    """
    stored = None if price is None else msgspec.json.encode(price).decode()
    async with database.connection() as connection:
        row = await store.add_price(connection, model, stored, valid_from, (by, note[:NOTE_CHARS_MAX]))
    if row is None:
        raise InvalidRequest("A price cannot begin in the past: the calls of then were charged what they cost then.")
    return _version_of(row)


async def list_prices(database: Database, model: str) -> list[PriceVersion]:
    """The prices of MODEL that were set here, the newest first: at most 1,000."""
    async with database.connection() as connection:
        return [_version_of(row) for row in await store.list_prices(connection, model, HISTORY_MAX)]


async def cancel_price(database: Database, model: str, version_id: int) -> None:
    """Take back a price of MODEL that is not in force yet. Raises NotFound where there is none of this id."""
    async with database.connection() as connection:
        if not await store.delete_coming_price(connection, model, version_id):
            raise NotFound(
                f"No price {version_id} of {model} is still to come: what is in force is followed, not undone."
            )


async def current_prices(database: Database) -> list[PriceVersion]:
    """Of each model the price in force and those to come, in the order of time. Raises one of UNREACHABLE."""
    async with database.connection() as connection:
        return [_version_of(row) for row in await store.current_prices(connection, utc_now(), VERSIONS_MAX)]


def in_force(versions: Iterable[PriceVersion], at: datetime) -> Mapping[str, Price]:
    """The prices that hold AT that moment, by model. VERSIONS are in the order of time."""
    prices: dict[str, Price] = {}
    for version in versions:
        if version.valid_from > at:
            break
        if version.price is None:
            prices.pop(version.model, None)
        else:
            prices[version.model] = version.price
    return prices


def next_change(versions: Iterable[PriceVersion], at: datetime) -> datetime | None:
    """When the next of VERSIONS comes into force after AT."""
    return next((version.valid_from for version in versions if version.valid_from > at), None)


def _version_of(row: Any) -> PriceVersion:
    facts = dict(row)
    if facts["price"] is not None:
        facts["price"] = msgspec.structs.replace(_price.decode(facts["price"]), version=f"p{facts['id']}")
    return PriceVersion(**facts)
