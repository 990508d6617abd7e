"""Top-ups, balances, and an audit that sees every planted fault."""

import pytest
from tests.support.ledger import USAGE, Caller, held, make_account, micro, usage_row

from hypereal.kit.db import Feed
from hypereal.kit.errors import NotFound
from hypereal.kit.ids import AccountId
from hypereal.kit.money import Micro
from hypereal.ledger import Credit, EntryKind, Ledger, Terms, add_credits, audit, balance

CALLS, CHARGES, COSTS = (
    {f"{of}: {what} of usage rows" for of in ("hours", "days", "models")} for what in ("calls", "charges", "costs")
)


async def test_one_reason_adds_credits_once(database):
    owner_id = await make_account(database)
    credit = Credit(amount=micro(5), kind=EntryKind.PAYMENT, source="stripe", source_id="evt_1", note="thanks")
    assert await add_credits(database, owner_id, credit)
    assert not await add_credits(database, owner_id, credit)
    assert (await balance(database, owner_id)).ledger == micro(5)
    assert await audit(database) == []


async def test_account_that_was_never_funded_has_nothing(database):
    wallet = await balance(database, await make_account(database))
    assert (wallet.ledger, wallet.free) == (0, 0)


async def test_credits_for_nobody_are_refused(database):
    with pytest.raises(NotFound):
        await add_credits(database, AccountId("acc_nobody"), Credit(amount=micro(5), source="test", source_id="1"))


@pytest.mark.parametrize("amount", [0, -1])
async def test_credits_are_positive(database, amount):
    with pytest.raises(ValueError, match="positive"):
        await add_credits(database, AccountId("acc_a"), Credit(amount=Micro(amount), source="test", source_id="1"))


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("UPDATE pools SET funded = funded + 1 WHERE kind = 'wallet'", {"funded: entries of a wallet"}),
        ("UPDATE pools SET used = used + 1 WHERE kind = 'wallet'", {"used: charge entries", "used: usage rows"}),
        ("UPDATE pools SET used = used + 1 WHERE kind = 'key_month'", {"used: charge entries"}),
        ("UPDATE pools SET leased = leased + 1 WHERE kind = 'wallet'", {"leased: leases of live processes"}),
        ("UPDATE pools SET held = held + 1 WHERE kind = 'wallet'", {"held: holds of jobs"}),
        ("UPDATE processes SET state = 'dead'", {"a closed process leases", "leased: leases of live processes"}),
        ("UPDATE usage SET cost = cost + 1, written_off = written_off + 1", {"written off: usage rows", *COSTS}),
        (
            "UPDATE pools SET leased = leased + 2 * funded WHERE kind = 'wallet'",
            {"leased: leases of live processes", "leased and held: free before"},
        ),
        (
            "INSERT INTO usage SELECT * FROM json_populate_recordset(NULL::usage, (SELECT json_agg(to_jsonb(u) || "
            "jsonb_build_object('started_at', started_at + interval '1 ms', 'cost', 0, 'charged', 0, 'written_off', 0))"
            " FROM usage u))",
            {"a call is settled once"},
        ),
        (
            "ALTER TABLE usage DROP CONSTRAINT usage_check; UPDATE usage SET cost = cost + 1",
            {"cost: charged and written off", *COSTS},
        ),
        ("DELETE FROM usage", {"used: usage rows", "written off: usage rows", *CALLS, *CHARGES, *COSTS}),
        ("DELETE FROM entries WHERE kind = 'charge'", {"used: charge entries"}),
    ],
)
async def test_audit_sees_a_planted_fault(database, database_url, fault, seen):
    caller = Caller(owner_id=await make_account(database, 100), spending_limit=micro(50))
    ledger = Ledger(database, Feed(database_url), Terms(instance_id="one", balance_min=Micro(0)))
    await ledger.open()
    ledger.settle(await held(ledger, caller, micro(1)), micro(3), USAGE, usage_row(caller))
    await held(ledger, caller, micro(10))  # goes with what was settled
    assert await audit(database) == []
    async with database.connection() as connection:
        await connection.execute(fault)
    assert {difference.what for difference in await audit(database)} == seen
    ledger._disconnect()
    await ledger.close()
