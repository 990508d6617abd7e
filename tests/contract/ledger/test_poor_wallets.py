"""Several processes on one wallet, or one key's month, that has next to nothing left: never over, and hardly under."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest
from tests.support.ledger import USAGE, Caller, decided, held, make_account, micro, usage_row

from hypereal.kit.db import Database, Feed
from hypereal.kit.errors import HyperealError, InsufficientCredits, SpendingLimitReached
from hypereal.kit.money import Micro
from hypereal.ledger import Ledger, Terms, audit, balance
from hypereal.ledger import books as books_module
from hypereal.ledger import ledger as ledger_module

CALLERS = 200
FIT = 100
"""Calls that what is left pays for."""


class Processes:
    """Ledgers as so many data processes have them, each with its own connection for notices."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self._database = database
        self._stack = stack

    async def start(self, count: int) -> list[Ledger]:
        ledgers = []
        for number in range(count):
            feed = Feed(self._database.url)
            ledger = Ledger(self._database, feed, Terms(instance_id=f"host {number}", balance_min=Micro(0)))
            feed.start()
            self._stack.push_async_callback(feed.stop)
            await ledger.open()
            self._stack.push_async_callback(ledger.close)
            await feed.connected.wait()
            ledgers.append(ledger)
        return ledgers


@pytest.fixture
async def processes(database: Database) -> AsyncIterator[Processes]:
    async with AsyncExitStack() as stack:
        yield Processes(database, stack)


async def lease_ahead(ledgers: Sequence[Ledger], caller: Caller) -> None:
    """Let each process have idle credit: some calls that fail, so that they cost nothing."""
    for ledger in ledgers:
        for hold in [await held(ledger, caller, micro(1)) for _ in range(4)]:
            ledger.release(hold, usage_row(caller))


async def call(ledger: Ledger, caller: Caller, lasts_s: float) -> HyperealError | None:
    """One call that costs what it held, or why it was refused."""
    ticket = await decided(ledger, caller, micro(1))
    if ticket.error is not None:
        return ticket.error
    hold = ticket.take()
    await asyncio.sleep(lasts_s)
    settlement = ledger.settle(hold, micro(1), USAGE, usage_row(caller))
    assert settlement.written_off == 0
    return None


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("arrive_at", ["all", "one"])
@pytest.mark.parametrize("scarce", ["wallet", "month"])
async def test_what_is_left_is_had_by_whoever_asks_and_not_overspent(
    database: Database, processes: Processes, count: int, arrive_at: str, scarce: str
) -> None:
    wallet, limit = (FIT, None) if scarce == "wallet" else (10_000, micro(FIT))
    caller = Caller(owner_id=await make_account(database, wallet), spending_limit=limit)
    ledgers = await processes.start(count)
    await lease_ahead(ledgers, caller)
    assert (await balance(database, caller.owner_id)).free < micro(wallet)
    seed = random.Random(7)
    asked = ledgers if arrive_at == "all" else ledgers[:1]
    began_s = time.monotonic()
    async with asyncio.timeout(10):
        refusals = await asyncio.gather(*(call(seed.choice(asked), caller, seed.random() / 50) for _ in range(CALLERS)))
    took_s = time.monotonic() - began_s
    admitted = refusals.count(None)
    wanted = InsufficientCredits if scarce == "wallet" else SpendingLimitReached
    assert all(isinstance(refusal, wanted) for refusal in refusals if refusal is not None)
    assert all("resets_at" in refusal.details for refusal in refusals if isinstance(refusal, SpendingLimitReached))
    assert FIT * 95 // 100 <= admitted <= FIT, f"{admitted} in {took_s:.2f} s"
    for ledger in ledgers:
        await ledger.close()
    assert (await balance(database, caller.owner_id)).free == micro(wallet - admitted)
    assert await audit(database) == []


async def test_idle_slice_goes_to_who_needs_it_at_once(database: Database, processes: Processes) -> None:
    caller = Caller(owner_id=await make_account(database, 20))
    rich, poor = await processes.start(2)
    rich.release(await held(rich, caller, micro(8)), usage_row(caller))
    began_s = time.monotonic()
    assert (await held(poor, caller, micro(20))).is_open
    assert time.monotonic() - began_s < 1.0  # and not after two seconds, when it would have gone back unasked
    with pytest.raises(InsufficientCredits):
        await held(rich, caller, micro(1))


async def test_slice_spares_the_next_calls_the_database(database: Database, processes: Processes) -> None:
    caller = Caller(owner_id=await make_account(database, 10_000))
    (ledger,) = await processes.start(1)
    ledger.release(await held(ledger, caller, micro(2)), usage_row(caller))
    waited = 0
    for _ in range(300):
        hold = ledger.hold_now(caller, micro(2))
        if hold is None:
            waited += 1
            hold = await held(ledger, caller, micro(2))
        await asyncio.sleep(0.001)
        ledger.settle(hold, micro(1), USAGE, usage_row(caller))
    assert waited <= 20  # while the slice grows to what the calls need


async def test_idle_slice_goes_back_by_itself(
    database: Database, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fast:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() * 50

    monkeypatch.setattr(books_module, "time", Fast)
    monkeypatch.setattr(ledger_module, "TICK_S", 0.01)
    monkeypatch.setattr(ledger_module, "SETTLE_S", 0.005)  # less than HEARD_S by that clock
    caller = Caller(owner_id=await make_account(database, 20))
    (ledger,) = await processes.start(1)
    ledger.settle(await held(ledger, caller, micro(4)), micro(1), USAGE, usage_row(caller))
    async with asyncio.timeout(5):
        while (await balance(database, caller.owner_id)).free != micro(19):
            await asyncio.sleep(0.01)


async def test_one_of_two_large_calls_gets_what_both_processes_had(database: Database, processes: Processes) -> None:
    """Neither keeps what is too little for its own call from the other."""
    caller = Caller(owner_id=await make_account(database, 60))
    ledgers = await processes.start(2)
    for ledger in ledgers:
        ledger.release(await held(ledger, caller, micro(20)), usage_row(caller))
    tickets = await asyncio.gather(*(decided(ledger, caller, micro(50)) for ledger in ledgers))
    assert sum(ticket.error is None for ticket in tickets) == 1
