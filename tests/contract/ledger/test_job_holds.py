"""What jobs hold: never more than is free, ended once, and the books agree after each step."""

import asyncio

import pytest
from tests.support.ledger import USAGE, Caller, held, make_account, micro, usage_row

from hypereal.kit.db import Feed
from hypereal.kit.errors import InsufficientCredits, SpendingLimitReached
from hypereal.kit.ids import JobId
from hypereal.kit.money import Micro
from hypereal.ledger import (
    AlreadySettled,
    Lacking,
    Ledger,
    Terms,
    audit,
    balance,
    hold_for_job,
    settle_job,
    with_recall,
)

TEN = micro(10)


async def hold(database, caller, job_id="job_1", amount=TEN):
    async with database.transaction() as connection:
        await hold_for_job(connection, caller, JobId(job_id), amount)


async def settle(database, caller, cost, job_id="job_1"):
    async with database.transaction() as connection:
        await settle_job(connection, JobId(job_id), usage_row(caller), cost)


async def test_a_hold_is_settled_to_its_cost_and_the_rest_is_free(database):
    caller = Caller(owner_id=await make_account(database, 100), spending_limit=micro(50))
    await hold(database, caller)
    assert (await balance(database, caller.owner_id)).free == micro(90)
    assert await audit(database) == []
    await settle(database, caller, micro(4))
    wallet = await balance(database, caller.owner_id)
    assert (wallet.ledger, wallet.free) == (micro(96), micro(96))
    assert await audit(database) == []


async def test_a_hold_is_ended_once(database):
    caller = Caller(owner_id=await make_account(database, 100))
    await hold(database, caller)
    await settle(database, caller, Micro(0))
    for cost in (Micro(0), micro(1)):
        with pytest.raises(AlreadySettled):
            await settle(database, caller, cost)
    assert (await balance(database, caller.owner_id)).ledger == micro(100)
    assert await audit(database) == []


async def test_nothing_is_charged_beyond_the_hold(database):
    caller = Caller(owner_id=await make_account(database, 100))
    await hold(database, caller)
    with pytest.raises(ValueError, match="holds less"):
        await settle(database, caller, micro(11))
    assert (await balance(database, caller.owner_id)).free == micro(90)
    assert await audit(database) == []


async def test_the_wallet_and_the_month_must_both_have_it(database):
    poor = Caller(owner_id=await make_account(database, 9))
    limited = Caller(owner_id=await make_account(database, 100), spending_limit=micro(9))
    nobody = Caller(owner_id=await make_account(database))
    for caller, kind in ((poor, InsufficientCredits), (limited, SpendingLimitReached), (nobody, InsufficientCredits)):
        with pytest.raises(kind):
            await with_recall(database, lambda caller=caller: hold(database, caller))
        assert await audit(database) == []
    assert (await balance(database, limited.owner_id)).free == micro(100)


async def test_jobs_that_hold_at_once_never_hold_more_than_there_is(database):
    caller = Caller(owner_id=await make_account(database, 100), spending_limit=micro(70))
    asked = await asyncio.gather(
        *(hold(database, caller, f"job_{number}") for number in range(20)), return_exceptions=True
    )
    assert sum(one is None for one in asked) == 7
    assert all(isinstance(one, Lacking) for one in asked if one is not None)
    assert await audit(database) == []


async def test_what_data_processes_leased_ahead_is_asked_back(database, database_url):
    caller = Caller(owner_id=await make_account(database, 100))
    feed = Feed(database_url)
    ledger = Ledger(database, feed, Terms(instance_id="one", balance_min=Micro(0)))
    await ledger.open()
    feed.start()
    await feed.connected.wait()
    for _ in range(50):
        opened = await held(ledger, caller, micro(1))
        ledger.settle(opened, micro(0), USAGE, usage_row(caller))
    assert (await balance(database, caller.owner_id)).free < micro(100)
    await with_recall(database, lambda: hold(database, caller, amount=micro(100)))
    assert (await balance(database, caller.owner_id)).free == 0
    await ledger.close()
    await feed.stop()
    assert await audit(database) == []
