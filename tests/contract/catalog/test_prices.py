"""Prices that were set here: in force from their moment until the next, read by every process, never rewritten."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.catalog import (
    SET_HERE,
    LongContext,
    Price,
    PriceCache,
    PriceVersion,
    cancel_price,
    current_prices,
    in_force,
    list_prices,
    load,
    set_price,
)
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database, Feed
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, NotFound
from hypereal.kit.money import Micro, Rate

WAIT_S_MAX = 5.0
RATES = {name: Rate(5) for name in ("output", "cache_read", "cache_write", "cache_write_1h")}


def price(rate: int) -> Price:
    tier = LongContext(above_tokens=100, input=Rate(rate + 1), **RATES)
    return Price(version="x", input=Rate(rate), web_search=Micro(7), long_context=(tier,), **RATES)


def rate_of(found: Price | None) -> int | None:
    return None if found is None else found.input


@pytest.fixture
async def seen(database, database_url) -> AsyncIterator[list[int | None]]:
    """What a process that reads prices sees for model m: each time that other prices are in force."""
    rates: list[int | None] = []
    feed = Feed(database_url)
    cache = PriceCache(database, feed, lambda: rates.append(rate_of(cache.in_force().get("m"))))
    await cache.open()
    feed.start()
    await asyncio.wait_for(feed.connected.wait(), WAIT_S_MAX)
    yield rates
    await cache.close()
    await feed.stop()


async def until(rates: list[int | None], last: int | None) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while not rates or rates[-1] != last:
            await asyncio.sleep(0.005)


async def test_a_price_comes_back_whole_and_is_named_by_its_version(database):
    made = await set_price(database, "m", price(9), by="ada", note="cheaper")
    (found,) = await list_prices(database, "m")
    assert found == made
    assert found.price == Price(
        **{**{n: getattr(price(9), n) for n in Price.__struct_fields__}, "version": f"p{made.id}"}
    )
    assert (found.created_by, found.note) == ("ada", "cheaper")


async def test_the_last_price_that_began_holds(database):
    for rate in (1, 2):
        await set_price(database, "m", price(rate), by="ada")
    await set_price(database, "m", price(3), by="ada", valid_from=utc_now() + timedelta(hours=1))
    versions = await current_prices(database)
    assert [rate_of(version.price) for version in versions] == [2, 3]
    assert rate_of(in_force(versions, utc_now())["m"]) == 2
    assert rate_of(in_force(versions, utc_now() + timedelta(hours=2))["m"]) == 3
    assert [rate_of(version.price) for version in await list_prices(database, "m")] == [3, 2, 1]


async def test_the_files_hold_again_where_that_was_set(database):
    await set_price(database, "m", price(1), by="ada")
    await set_price(database, "m", None, by="ada")
    assert in_force(await current_prices(database), utc_now()) == {}


async def test_no_price_begins_in_the_past(database):
    with pytest.raises(InvalidRequest, match="past"):
        await set_price(database, "m", price(1), by="ada", valid_from=utc_now() - timedelta(seconds=1))
    assert await list_prices(database, "m") == []


async def test_only_what_is_to_come_is_taken_back(database):
    now = await set_price(database, "m", price(1), by="ada")
    later = await set_price(database, "m", price(2), by="ada", valid_from=utc_now() + timedelta(hours=1))
    for model, version_id in (("m", now.id), ("other", later.id), ("m", 999)):
        with pytest.raises(NotFound):
            await cancel_price(database, model, version_id)
    await cancel_price(database, "m", later.id)
    assert [version.id for version in await list_prices(database, "m")] == [now.id]


async def test_a_process_knows_within_a_second(database, seen):
    for rate in (1, 2, None):
        began = asyncio.get_running_loop().time()
        await set_price(database, "m", None if rate is None else price(rate), by="ada")
        await until(seen, rate)
        assert asyncio.get_running_loop().time() - began < 1


async def test_a_price_comes_into_force_by_itself(database, seen):
    await set_price(database, "m", price(1), by="ada")
    due = utc_now() + timedelta(seconds=0.7)
    await set_price(database, "m", price(2), by="ada", valid_from=due)
    await until(seen, 1)
    assert utc_now() < due
    await until(seen, 2)
    assert due <= utc_now() < due + timedelta(seconds=0.5)


async def test_what_was_set_while_the_notices_were_away_is_read_when_they_are_back(database, seen):
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE price_versions DISABLE TRIGGER price_versions_notify")
    await set_price(database, "m", price(4), by="ada")
    async with database.connection() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
    await until(seen, 4)


async def test_without_a_database_the_prices_stay(database_url):
    lost = Database(database_url)
    await lost.open()
    feed = Feed(database_url)
    await set_price(lost, "m", price(6), by="ada")
    cache = PriceCache(lost, feed, lambda: None)
    await cache.open()
    await lost.close()
    cache._stale.set()
    await asyncio.sleep(0.05)
    assert rate_of(cache.in_force()["m"]) == 6
    await cache.close()


MODELS = load({}, {"openai": frozenset(Dialect)} | dict.fromkeys(
    ("anthropic", "google", "toapis", "openrouter", "bedrock", "vertex", "dashscope", "deepseek", "minimax", "moonshot",
     "zai", "xai", "ark", "bfl", "fal", "kling", "replicate", "vidu", "fish", "elevenlabs"),
    frozenset(Dialect)))  # fmt: skip


def test_a_set_price_wins_over_the_files_under_every_name_of_its_model():
    before = MODELS.models["gpt-5.4"]
    repriced = MODELS.repriced({"gpt-5.4": price(9), "no-such-model": price(1)})
    for name in ("gpt-5.4", "gpt-5.4-2026-04-21", "openai/gpt-5.4"):
        found = repriced.find(name)
        assert found is not None and rate_of(found.price) == 9, name
        assert found.sources["price"] == found.sources["price.input"] == SET_HERE
        assert not [one for one in found.assumed if one.startswith("price")]
    assert MODELS.models["gpt-5.4"] == before
    assert repriced.models["gpt-5.5"] == MODELS.models["gpt-5.5"]
    assert MODELS.repriced({}) is MODELS


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.none() | st.integers(1, 9)), max_size=12))
def test_in_force_is_the_last_that_began(told):
    """Against the plain meaning, at every moment."""
    start = utc_now()
    versions = [
        PriceVersion(
            id=number, model=model, price=None if rate is None else price(rate), created_by="", note="",
            valid_from=start + timedelta(seconds=at), created_at=start,
        )
        for number, (model, at, rate) in enumerate(sorted(told, key=lambda one: one[1]))
    ]  # fmt: skip
    for second in range(11):
        at = start + timedelta(seconds=second)
        for model in "ab":
            begun = [one for one in versions if one.model == model and one.valid_from <= at]
            expected = rate_of(begun[-1].price) if begun else None
            assert rate_of(in_force(versions, at).get(model)) == expected
