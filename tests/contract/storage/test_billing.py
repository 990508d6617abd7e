"""What is stored is charged once, exactly, and at most what is there."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.storage.conftest import OpenStorage

from hypereal.kit.db import Database
from hypereal.kit.errors import InsufficientCredits
from hypereal.kit.ids import AccountId
from hypereal.kit.money import Micro
from hypereal.ledger import Credit, add_credits, audit, balance
from hypereal.storage import NewObject, Storage
from hypereal.storage.billing import bill, bill_all, cost_of
from hypereal.storage.objects import GB, MONTH_S, Kind

DAY_S = 86_400
CREDIT = 1_000_000


async def stored_for_a_day(storage: Storage, database: Database, owner_id: AccountId, size_bytes: int = GB) -> None:
    """The owner has had SIZE_BYTES for a day that is not billed."""
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO storage_sums (owner_id, objects, size_bytes, reserved_bytes, counted_at) "
            "VALUES ($1, 1, $2, 0, now() - interval '1 day') "
            "ON CONFLICT (owner_id) DO UPDATE SET counted_at = storage_sums.counted_at - interval '1 day'",
            owner_id,
            size_bytes,
        )


async def charged(database: Database, owner_id: AccountId) -> tuple[int, int]:
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT coalesce(sum(charged), 0)::bigint, coalesce(sum(written_off), 0)::bigint FROM usage "
            "WHERE owner_id = $1 AND endpoint = 'storage'",
            owner_id,
        )
    return tuple(row)


async def test_a_day_of_storage_is_charged_once(open_one: OpenStorage, database: Database, owner_id: AccountId):
    storage = open_one(price_gb_month=Decimal("30"))
    await add_credits(database, owner_id, Credit(amount=Micro(10 * CREDIT), source="test", source_id=owner_id))
    await stored_for_a_day(storage, database, owner_id)
    assert await bill_all(storage) >= 1
    taken, written_off = await charged(database, owner_id)
    assert CREDIT <= taken < 1.01 * CREDIT
    assert written_off == 0
    assert (await balance(database, owner_id)).ledger == 10 * CREDIT - taken
    await bill(storage, owner_id)
    assert (await charged(database, owner_id))[0] < taken + CREDIT // 100  # the seconds since
    assert await audit(database) == []


async def test_a_wallet_pays_what_it_has_and_the_rest_is_written_off(
    open_one: OpenStorage, database: Database, owner_id: AccountId
):
    storage = open_one(price_gb_month=Decimal("30"))
    await add_credits(database, owner_id, Credit(amount=Micro(CREDIT // 4), source="test", source_id=owner_id))
    await stored_for_a_day(storage, database, owner_id)
    cost = await bill(storage, owner_id)
    assert await charged(database, owner_id) == (CREDIT // 4, cost - CREDIT // 4)
    assert (await balance(database, owner_id)).ledger == 0
    assert await audit(database) == []


async def test_who_has_nothing_announces_no_upload_but_keeps_what_jobs_make(open_one: OpenStorage, owner_id: AccountId):
    storage = open_one(price_gb_month=Decimal("30"))
    new = NewObject(filename="a.txt", content_type="text/plain", kind=Kind.INPUT, size_bytes=1)
    with pytest.raises(InsufficientCredits):
        await storage.announce(owner_id, new)
    made = NewObject(filename="a.png", content_type="image/png", kind=Kind.OUTPUT, size_bytes=1, source="job/0")
    assert (await storage.announce(owner_id, made)).owner_id == owner_id


async def test_what_was_free_is_not_billed_when_a_price_comes(
    open_one: OpenStorage, database: Database, owner_id: AccountId
):
    await stored_for_a_day(open_one(), database, owner_id)
    assert await bill(open_one(), owner_id) == 0
    assert await bill(open_one(price_gb_month=Decimal("30")), owner_id) < CREDIT // 100


@given(st.integers(0, 10**30), st.integers(0, 10**15))
def test_cost_is_rounded_up_once(byte_seconds: int, price: int):
    cost = cost_of(Decimal(byte_seconds), Micro(price))
    assert (cost - 1) * GB * MONTH_S < byte_seconds * price <= cost * GB * MONTH_S
