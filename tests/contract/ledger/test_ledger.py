"""A data process's ledger against a real database: waiting, batching, losing the connection, ending."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import msgspec
import pytest
from tests.support.ledger import USAGE, Caller, decided, held, make_account, micro, usage_row

from hypereal.kit import clock
from hypereal.kit.db import Database, Feed
from hypereal.kit.errors import InsufficientCredits, Overloaded, SpendingLimitReached
from hypereal.kit.money import Micro
from hypereal.ledger import (
    AlreadySettled,
    Asked,
    Asker,
    Credit,
    Details,
    Ledger,
    Terms,
    add_credits,
    audit,
    balance,
    close_dead,
    store,
)
from hypereal.ledger import ledger as ledger_module
from hypereal.ledger.books import Books
from hypereal.ledger.spool import Spool


@pytest.fixture
async def start(database: Database, tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Opens ledgers; those that the test did not close are closed after it."""
    async with AsyncExitStack() as stack:

        async def begin(
            instance_id: str = "one", balance_min: float = 0, at: Database = database, **terms: object
        ) -> Ledger:
            feed = Feed(at.url)
            given = {"spool_dir": tmp_path / instance_id, **terms}
            ledger = Ledger(at, feed, Terms(instance_id=instance_id, balance_min=micro(balance_min), **given))
            feed.start()
            stack.push_async_callback(feed.stop)
            await ledger.open()
            stack.push_async_callback(ledger.close)
            return ledger

        yield begin


async def cut(database: Database) -> None:
    """End every connection of a ledger, as a failing server would."""
    async with database.connection() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'hypereal-ledger' AND datname = current_database()"
        )


async def test_call_is_charged_once_and_the_rest_goes_back(database, start):
    caller = Caller(owner_id=await make_account(database, 1000))
    ledger = await start()
    hold = await held(ledger, caller, micro(100))
    assert (await balance(database, caller.owner_id)).free == micro(800)  # as much again is leased ahead
    settlement = ledger.settle(hold, micro(30), USAGE, usage_row(caller))
    assert (settlement.charged, settlement.written_off) == (micro(30), 0)
    with pytest.raises(AlreadySettled):
        ledger.release(hold, usage_row(caller))
    await ledger.close()
    wallet = await balance(database, caller.owner_id)
    assert (wallet.ledger, wallet.free) == (micro(970), micro(970))
    assert await audit(database) == []


async def test_usage_row_says_what_was_told(database, start):
    caller = Caller(owner_id=await make_account(database, 1000))
    ledger = await start()
    row = usage_row(caller, provider="openai", first_byte_ms=12, client="curl\0", is_stream=True, upstream_id="x")
    ledger.settle(await held(ledger, caller, micro(1)), micro(3), USAGE, row)
    ledger.record(usage_row(caller, status=402, error_type="insufficient_credits"))
    await ledger.close()
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM usage ORDER BY status")
    shared = {name: rows[0][name] for part in (Asker, Asked) for name in part.__struct_fields__}
    said = msgspec.json.decode(row.shared[:-1] + b"}")
    assert shared == {**dict.fromkeys(shared), **said, "client": "curl\ufffd"}
    own = {name: rows[0][name] for name in Details.__struct_fields__ if name != "month"}  # that is no column
    assert own == {name: getattr(row.details, name) for name in own}
    money = (rows[0]["cost"], rows[0]["charged"], rows[0]["written_off"], rows[0]["output_tokens"])
    assert money == (micro(3), micro(2), micro(1), 20)
    assert (rows[1]["status"], rows[1]["cost"]) == (402, 0)
    assert await audit(database) == []


async def test_account_without_credits_is_refused(database, start):
    caller = Caller(owner_id=await make_account(database))
    ledger = await start()
    with pytest.raises(InsufficientCredits):
        await held(ledger, caller, micro(1))


async def test_balance_below_the_least_is_refused_until_topped_up(database, start):
    caller = Caller(owner_id=await make_account(database, 199))
    ledger = await start(balance_min=200)
    with pytest.raises(InsufficientCredits, match="199 credits is below"):
        await held(ledger, caller, micro(1))
    await add_credits(database, caller.owner_id, Credit(amount=micro(1), source="test", source_id="more"))
    assert (await held(ledger, caller, micro(1))).is_open


async def test_key_stops_at_its_limit_while_the_wallet_has_more(database, start):
    owner_id = await make_account(database, 1000)
    limited, free = Caller(owner_id=owner_id, spending_limit=micro(10)), Caller(owner_id=owner_id)
    ledger = await start()
    ledger.settle(await held(ledger, limited, micro(8)), micro(8), USAGE, usage_row(limited))
    with pytest.raises(SpendingLimitReached):
        await held(ledger, limited, micro(3))
    assert (await held(ledger, free, micro(500))).is_open
    raised = Caller(owner_id=owner_id, spending_limit=micro(20))
    assert (await held(ledger, raised, micro(3))).is_open


async def test_two_processes_open_one_month_at_once(database, start):
    caller = Caller(owner_id=await make_account(database, 1000), spending_limit=micro(10))
    ledgers = [await start(name) for name in "abcd"]
    tickets = await asyncio.gather(*(decided(ledger, caller, micro(4)) for ledger in ledgers))
    assert sum(ticket.error is None for ticket in tickets) == 2
    assert await audit(database) == []


async def test_growing_stream_is_stopped_where_the_wallet_ends(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    hold = await held(ledger, caller, micro(6))
    ready = asyncio.Event()
    growth = ledger.grow(hold, micro(4), ready.set)
    await ready.wait()
    assert growth.take() is hold
    ready.clear()
    refused = ledger.grow(hold, micro(1), ready.set)
    await ready.wait()
    with pytest.raises(InsufficientCredits):
        refused.take()
    assert ledger.settle(hold, micro(11), USAGE, usage_row(caller)).written_off == micro(1)


async def test_many_callers_of_many_processes_never_overspend(database, start):
    """300 calls over 4 processes on a wallet for 100 of them; what is refused is refused for good."""
    caller = Caller(owner_id=await make_account(database, 100))
    ledgers = [await start(name) for name in "abcd"]
    seed = random.Random(7)

    async def call(ledger: Ledger) -> Micro:
        ticket = await decided(ledger, caller, micro(2))
        if ticket.error is not None:
            return Micro(0)
        hold = ticket.take()
        await asyncio.sleep(seed.random() / 100)
        return ledger.settle(hold, micro(seed.choice([0, 1, 2, 3])), USAGE, usage_row(caller)).charged

    charged = sum(await asyncio.gather(*(call(seed.choice(ledgers)) for _ in range(300))))
    for ledger in ledgers:
        await ledger.close()
    wallet = await balance(database, caller.owner_id)
    assert wallet.ledger == wallet.free == micro(100) - charged >= 0
    assert charged > micro(40)
    assert await audit(database) == []


async def test_lost_connections_lose_nothing_and_double_nothing(database, start):
    caller = Caller(owner_id=await make_account(database, 1000), spending_limit=micro(900))
    ledger = await start()
    seed = random.Random(7)

    async def cut_somewhere() -> None:
        await asyncio.sleep(seed.random() / 100)
        await cut(database)

    async def call() -> Micro:
        hold = await held(ledger, caller, micro(2))
        return ledger.settle(hold, micro(1), USAGE, usage_row(caller)).charged

    charged = 0
    for _ in range(20):
        calls = asyncio.gather(*(call() for _ in range(10)))
        await cut_somewhere()
        charged += sum(await calls)
    await ledger.close()
    assert charged == micro(200)
    assert (await balance(database, caller.owner_id)).free == micro(800)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM usage") == 200
    assert await audit(database) == []


async def test_without_a_database_holds_are_refused_in_time_and_not_with_402(start, monkeypatch):
    monkeypatch.setattr(ledger_module, "WAIT_S_MAX", 0.2)
    monkeypatch.setattr(ledger_module, "TICK_S", 0.05)
    ledger = await start(at=Database("postgresql://nobody@/nothing?host=/nowhere"))
    with pytest.raises(Overloaded):
        await asyncio.wait_for(held(ledger, Caller(owner_id="acc_ada"), micro(1)), 2)
    monkeypatch.setattr(ledger_module, "CLOSE_S_MAX", 0.1)
    await ledger.close()


async def test_what_was_settled_in_an_outage_is_charged_after_it(database, start, monkeypatch):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    hold = await held(ledger, caller, micro(5))
    connect = asyncpg.connect

    async def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(ledger_module.asyncpg, "connect", refuse)
    await cut(database)
    ledger.settle(hold, micro(4), USAGE, usage_row(caller))
    ready = asyncio.Event()
    waiting = ledger.hold(caller, micro(6), ready.set)
    monkeypatch.setattr(ledger_module.asyncpg, "connect", connect)
    await ready.wait()
    assert waiting.take().amount == micro(6)
    assert (await balance(database, caller.owner_id)).ledger == micro(6)


async def test_cancelled_ticket_is_not_announced_and_its_credit_goes_back(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    announced: list[str] = []
    ticket = ledger.hold(caller, micro(10), lambda: announced.append("left"))
    ledger.cancel(ticket)
    assert (await held(ledger, caller, micro(10))).is_open
    assert announced == []


async def test_ticket_cancelled_after_the_grant_and_before_it_was_told_goes_back(database, start, monkeypatch):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    announced: list[str] = []
    ticket = ledger.hold(caller, micro(10), lambda: announced.append("left"))
    original = ledger._announce

    def cancel_first(tickets: list[object]) -> None:
        original(tickets)
        ledger.cancel(ticket)

    monkeypatch.setattr(ledger, "_announce", cancel_first)
    second = await decided(ledger, caller, micro(10))
    assert announced == []
    assert second.error is None or (await held(ledger, caller, micro(10))).is_open


async def test_growth_of_a_hold_that_was_settled_meanwhile_is_not_announced(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    hold = await held(ledger, caller, micro(4))
    announced: list[str] = []
    ledger.grow(hold, micro(6), lambda: announced.append("over"))
    ledger.settle(hold, micro(4), USAGE, usage_row(caller))
    assert (await held(ledger, caller, micro(6))).is_open
    assert announced == []


async def test_on_ready_that_raises_harms_nobody_else(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    ledger.hold(caller, micro(1), lambda: failures[99])
    assert (await held(ledger, caller, micro(1))).is_open
    assert [type(failure) for failure in failures] == [IndexError]


async def test_killed_process_charges_nothing_unsettled_and_its_leases_go_back(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start("host")
    await held(ledger, caller, micro(10))
    assert await close_dead(database, "host", [os.getpid()]) == 0
    assert await close_dead(database, "another host", []) == 0
    assert await close_dead(database, "host", []) == 1
    assert (await balance(database, caller.owner_id)).free == micro(10)
    assert await audit(database) == []


async def test_process_of_an_earlier_boot_is_dead_whatever_its_pid(database, start, monkeypatch):
    await held(await start("host"), Caller(owner_id=await make_account(database, 1)), micro(1))
    monkeypatch.setattr("hypereal.ledger.reclaim.boot_id", lambda: "the next boot")
    assert await close_dead(database, "host", [os.getpid()]) == 1


async def test_fenced_process_takes_a_new_number_and_what_it_held_is_settled_late(database, start):
    caller = Caller(owner_id=await make_account(database, 30))
    ledger = await start("host")
    hold = await held(ledger, caller, micro(4))
    await close_dead(database, "host", [])
    later = await held(ledger, caller, micro(10))  # more than it has leased ahead
    late = ledger.settle(hold, micro(40), USAGE, usage_row(caller))
    assert late.charged == micro(40)  # at most
    assert ledger.settle(later, micro(5), USAGE, usage_row(caller)).charged == micro(5)
    await ledger.close()
    wallet = await balance(database, caller.owner_id)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT charged, written_off FROM usage ORDER BY cost")
    assert rows[0]["charged"] == micro(5)
    assert 0 < rows[1]["charged"] == micro(40) - rows[1]["written_off"] <= micro(20)
    assert wallet.ledger == wallet.free == micro(25) - rows[1]["charged"]
    assert await audit(database) == []


async def test_batch_that_does_not_follow_the_last_is_fenced(database):
    """So it looks after a failover to a database that had not heard of everything."""
    books = Books(Micro(0), Spool())
    books.hold(Caller(owner_id=await make_account(database, 10)), micro(1), lambda: None)
    skipping = msgspec.structs.replace(books.batch(), start=7)
    async with database.connection() as connection:
        process_id = await store.open_process(connection, "one", 1, "boot", start=0, live_s=60)
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await connection.fetch(store.FLUSH, *ledger_module.arguments(process_id, skipping, 60))
    assert refusal.value.sqlstate == store.FENCED


async def test_row_that_the_table_refuses_does_not_stop_the_others(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    holds = [await held(ledger, caller, micro(1)) for _ in range(5)]
    for number, hold in enumerate(holds):
        ledger.settle(hold, micro(1), USAGE, usage_row(caller, attempts=2**40 if number == 2 else number))
    assert (await held(ledger, caller, micro(5))).is_open
    await ledger.close()
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT attempts, charged FROM usage ORDER BY attempts")
    assert [tuple(row) for row in rows] == [(number, micro(1)) for number in (0, 1, 3, 4)]
    assert (await balance(database, caller.owner_id)).ledger == micro(5)
    assert [difference.what for difference in await audit(database)] == ["the log refused a call", "used: usage rows"]


async def test_idle_process_stays_live(database, start, monkeypatch):
    monkeypatch.setattr(ledger_module, "HEARTBEAT_S", 0.0)
    monkeypatch.setattr(ledger_module, "TICK_S", 0.01)
    await start()
    seen: set[int] = set()
    async with database.connection() as connection:
        while len(seen) < 3:
            seen |= {row[0] for row in await connection.fetch("SELECT acked FROM processes, pg_sleep(0.01)")}
        live = await connection.fetchval("SELECT live_until > now() + interval '50 s' FROM processes")
    assert live


async def test_close_returns_everything_and_can_be_waited_for(database, start):
    caller = Caller(owner_id=await make_account(database, 10))
    ledger = await start()
    await held(ledger, caller, micro(10))
    began_s = clock.boottime_s()
    await ledger.close()
    assert clock.boottime_s() - began_s < ledger_module.CLOSE_S_MAX
    assert (await balance(database, caller.owner_id)).free == micro(10)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT string_agg(state, ',') FROM processes") == "closed"
