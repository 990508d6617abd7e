"""The request log's tables: sums that are those of the rows in any order, days made ahead, days dropped whole."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.support.database import migrate_to
from tests.support.ledger import USAGE, Caller, held, make_account, micro, usage_row
from tests.support.request_log import Logged, sums_of_rows, sums_of_views, write

from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database, Feed
from hypereal.kit.ids import AccountId, KeyId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import Ledger, Retention, Terms, audit
from hypereal.ledger.request_log import fold, store, tend, upkeep
from hypereal.ledger.request_log.store import Match
from hypereal.serve import migrate

KEPT = Retention(rows_days=30, hours_days=60)
ADA = Caller(owner_id=AccountId("acc_ada"))


def at(days: float) -> datetime:
    """So many days from now."""
    return utc_now() + timedelta(days=days)


async def tables(database: Database) -> dict[str, int]:
    """The tables that rows are in, and how many."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT tableoid::regclass::text AS name, count(*) FROM usage GROUP BY 1")
    return {row["name"]: row["count"] for row in rows}


def table_of(day: datetime) -> str:
    return f"usage_{day:%Y%m%d}"


async def spend(database: Database, url: str, *starts: datetime) -> AccountId:
    """Somebody whose calls began at STARTS and cost 1 credit each, settled by a real ledger."""
    caller = Caller(owner_id=await make_account(database, 100))
    ledger = Ledger(database, Feed(url), Terms(instance_id="one", balance_min=Micro(0)))
    await ledger.open()
    for start in starts:
        ledger.settle(await held(ledger, caller, micro(1)), micro(1), USAGE, usage_row(caller, started_at=start))
    await ledger.close()
    return caller.owner_id


@st.composite
def logged(draw: st.DrawFn) -> Logged:
    cost = draw(st.integers(0, 10**12))
    return Logged(
        row=usage_row(
            Caller(owner_id=AccountId(draw(st.sampled_from(["acc_a", "acc_b"]))), key_id=KeyId("key_1")),
            request_id=f"req_{draw(st.integers(0, 30))}",  # so that some come twice
            started_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=20 * draw(st.integers(0, 9))),
            model=draw(st.sampled_from(["m1", "m2"])),
            provider=draw(st.sampled_from([None, "openai"])),
            app=draw(st.sampled_from([None, "", "cli"])),
            end_user=draw(st.sampled_from([None, "ada", "grace"])),
            endpoint=draw(st.sampled_from(["messages", "responses"])),
            status=draw(st.sampled_from([200, 400, 499, 502])),
            first_byte_ms=draw(st.none() | st.integers(0, 10**6)),
            duration_ms=draw(st.integers(0, 10**6)),
            cache_saved=draw(st.integers(-(10**9), 10**9)),
            upstream_cost=draw(st.none() | st.integers(0, 10**12)),
        ),
        usage=Usage(**{name: draw(st.integers(0, 10**6)) for name in Usage.__struct_fields__ if "is_" not in name}),
        cost=cost,
        charged=draw(st.integers(0, cost)),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(logged(), min_size=1, max_size=6), max_size=6), st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_sums_are_those_of_the_rows_whatever_comes_late_or_twice(database_url, batches, folds):
    async def run() -> None:
        database = Database(database_url)
        await database.open()
        async with database.connection() as connection:
            await connection.execute(
                "TRUNCATE usage, usage_hours, usage_days, usage_model_days, usage_words, usage_deltas"
            )
            for batch, folds_now in zip(batches, folds, strict=False):
                await write(connection, batch)
                if folds_now:
                    await fold(database)
        assert await sums_of_views(database) == await sums_of_rows(database)
        assert await fold(database) >= 0
        assert await sums_of_views(database) == await sums_of_rows(database)
        assert await fold(database) == 0
        await database.close()

    asyncio.run(run())


async def test_writers_and_folders_at_once_lose_and_double_nothing(database, monkeypatch):
    monkeypatch.setattr(upkeep, "ROWS_MAX", 7)

    async def writes(number: int) -> None:
        caller = Caller(owner_id=AccountId(f"acc_{number % 2}"))
        for _ in range(20):
            async with database.connection() as connection:
                rows = [Logged(row=usage_row(caller, model=f"m{n}"), cost=n, charged=n) for n in (1, 2, 3)]
                await write(connection, rows if number % 2 else rows[::-1])

    async def folds() -> None:
        for _ in range(30):
            await fold(database)

    await asyncio.gather(*map(writes, range(4)), folds(), folds())
    while await fold(database):
        pass
    assert await sums_of_views(database) == await sums_of_rows(database)


async def test_rows_that_are_rolled_back_count_nowhere(database):
    async with database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await write(connection, [Logged(row=usage_row(ADA))])
        await transaction.rollback()
    assert not any((await sums_of_views(database)).values())


async def test_rows_of_any_day_are_taken_and_the_audit_agrees(database, database_url):
    await spend(database, database_url, at(0), at(1), at(-1), at(-400), at(400))
    assert await tables(database) == {table_of(at(0)): 1, table_of(at(1)): 1, "usage_default": 3}
    assert await audit(database) == []


async def test_days_are_made_ahead_and_take_the_rows_that_wait_for_them(database, database_url):
    await spend(database, database_url, at(-1), at(-29), at(400))
    async with database.connection() as connection:
        await connection.execute(f"DROP TABLE {table_of(at(1))}")
    await tend(database, KEPT)
    await tend(database, KEPT)
    assert await tables(database) == {table_of(at(-1)): 1, table_of(at(-29)): 1, "usage_default": 1}
    async with database.connection() as connection:
        await write(connection, [Logged(row=usage_row(ADA, started_at=at(1)))])
    assert (await tables(database))[table_of(at(1))] == 1
    assert await audit(database) == []
    assert await sums_of_views(database) == await sums_of_rows(database)


async def test_days_that_are_old_are_dropped_and_their_sums_stay(database, database_url):
    owner_id = await spend(database, database_url, at(0), at(-20), at(-20), at(-40))
    await tend(database, Retention(rows_days=50, hours_days=50))
    assert table_of(at(-40)) in await tables(database)
    before = await sums_of_views(database)
    await tend(database, Retention(rows_days=15, hours_days=60))
    assert await tables(database) == {table_of(at(0)): 1}
    assert await sums_of_views(database) == before
    assert await audit(database) == []
    async with database.connection() as connection:
        dropped = await connection.fetchrow("SELECT owner_id, calls, charged FROM usage_dropped")
    assert tuple(dropped) == (owner_id, 3, micro(3))


async def test_a_row_of_a_day_that_was_dropped_still_counts(database, database_url):
    await spend(database, database_url, at(-40))
    await tend(database, KEPT)
    await spend(database, database_url, at(-40), at(-20))
    assert (await tables(database))["usage_default"] == 2
    assert await audit(database) == []
    await tend(database, KEPT)
    assert await tables(database) == {table_of(at(-20)): 1}
    assert await audit(database) == []
    assert sum(row[6] for row in (await sums_of_views(database))["usage_sums"]) == 3


async def test_sums_end_with_their_own_term_and_never_before_the_rows(database, database_url):
    await spend(database, database_url, at(-70), at(-40), at(-20))
    await tend(database, Retention(rows_days=100, hours_days=1))
    await fold(database)
    assert len((await sums_of_views(database))["usage_sums"]) == 3
    await tend(database, KEPT)
    assert [row[1].date() for row in (await sums_of_views(database))["usage_sums"]] == [at(-40).date(), at(-20).date()]
    assert await audit(database) == []


async def test_a_day_that_is_read_is_dropped_at_the_next_pass(database, database_url):
    await spend(database, database_url, at(-20))
    await tend(database, KEPT)
    async with database.transaction() as reader:
        await reader.fetch("SELECT 1 FROM usage")
        await tend(database, Retention(rows_days=10, hours_days=60))
        assert await tables(database) == {table_of(at(-20)): 1}
        await asyncio.wait_for(spend(database, database_url, at(0)), 5)  # nobody waits behind the reader
    await tend(database, Retention(rows_days=10, hours_days=60))
    assert await tables(database) == {table_of(at(0)): 1}
    assert await audit(database) == []


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("UPDATE usage_hours SET charged = charged + 1", {"hours: charges of usage rows"}),
        ("DELETE FROM usage_hours", {"hours: calls", "hours: charges", "hours: costs"}),
        ("UPDATE usage_days SET calls = calls + 1", {"days: calls of usage rows"}),
        ("DELETE FROM usage_days", {"days: calls", "days: charges", "days: costs"}),
        ("UPDATE usage_model_days SET cost = cost - 1", {"models: costs of usage rows"}),
        ("UPDATE usage_dropped SET charged = charged + 1", {"used: usage rows"}),
        (
            "DELETE FROM usage_default",
            {"used: usage rows"}
            | {f"{of}: {what}" for of in ("hours", "days", "models") for what in ("calls", "charges", "costs")},
        ),
    ],
)
async def test_the_audit_sees_a_planted_fault_of_the_log(database, database_url, fault, seen):
    await spend(database, database_url, at(-20))
    await tend(database, Retention(rows_days=10, hours_days=60))
    await spend(database, database_url, at(-1))
    await fold(database)
    assert await audit(database) == []
    async with database.connection() as connection:
        await connection.execute(fault)
    found = {difference.what for difference in await audit(database)}
    assert {what for what in found if any(what.startswith(one) for one in seen)} == found
    assert len(found) == len(seen)


async def test_migration_keeps_rows_and_sums_them_up(database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await asyncio.to_thread(migrate_to, database_url, "0004")
    starts = [at(0), at(-3), at(-3), at(-100), at(400)]
    columns = "is_stream, attempts, duration_ms, client, input_tokens, cache_read_tokens, cache_write_tokens, "
    columns += "cache_write_1h_tokens, output_tokens, reasoning_tokens, web_searches, is_estimated"
    for number, start in enumerate(starts):
        await connection.execute(
            f"""
            INSERT INTO usage (request_id, started_at, owner_id, key_id, endpoint, dialect, model, status,
                {columns}, cost, charged, written_off, cache_saved, tried)
            VALUES ($1, $2, 'acc_a', 'key_1', 'messages', 'anthropic_messages', 'm', 200,
                false, 1, 10, 'x', 1, 2, 3, 4, 5, 0, 0, false, 10, 7, 3, NULL, '[]')
            """,
            f"req_{number}",
            start,
        )
    before = await connection.fetch("SELECT * FROM usage ORDER BY request_id")
    await asyncio.to_thread(migrate.up, database_url)
    after = await connection.fetch("SELECT * FROM usage ORDER BY request_id")
    assert [tuple(row)[: len(before[0])] for row in after] == [tuple(row) for row in before]
    database = Database(database_url)
    await database.open()
    assert await tables(database) == {
        table_of(at(0)): 1, table_of(at(-3)): 2, table_of(at(-100)): 1, "usage_default": 1,
    }  # fmt: skip
    async with database.connection() as opened:
        assert await opened.fetchval("SELECT sum(charged) FROM usage_hours") == 5 * 7
    assert await sums_of_views(database) == await sums_of_rows(database)
    await connection.close()
    await database.close()


async def users_of(database: Database, owner_id: AccountId, days: int = 30) -> list[tuple[object, ...]]:
    """What the owner's users cost."""
    match = Match(since=at(-days), until=at(1))
    async with database.connection() as connection:
        return [tuple(row) for row in await store.by_word(connection, owner_id, match, ("user", ""), 3)]


async def test_of_many_users_the_dearest_are_told_apart_and_the_sum_stays(database, monkeypatch):
    monkeypatch.setattr(upkeep, "USERS_MAX", 2)
    monkeypatch.setattr(upkeep, "USERS_MAX_FRESH", 3)
    monkeypatch.setattr(upkeep, "ROWS_MAX", 2)
    users = [None, "a", "b", "c", "d", "e"]
    async with database.connection() as connection:
        for day in (0, -4):
            rows = [
                Logged(row=usage_row(ADA, started_at=at(day), end_user=user), cost=10**n, charged=10**n)
                for n, user in enumerate(users)
            ]
            await write(connection, rows)
    told = [("e", False, 2, 200_000), ("d", False, 2, 20_000), ("c", False, 2, 2_000), (None, True, 6, 222)]
    assert await users_of(database, ADA.owner_id) == told
    await fold(database)
    assert await users_of(database, ADA.owner_id) == told
    assert await upkeep.merge_users(database) == 2 + 3
    assert await users_of(database, ADA.owner_id) == [
        ("e", False, 2, 200_000), ("d", False, 2, 20_000), ("c", False, 1, 1_000), (None, True, 7, 1_222),
    ]  # fmt: skip
    assert await upkeep.merge_users(database) == 0
    async with database.connection() as connection:  # one that comes late is added to its own
        await write(connection, [Logged(row=usage_row(ADA, started_at=at(-4), end_user="a"), cost=5, charged=5)])
    await fold(database)
    assert await upkeep.merge_users(database) == 1
    assert sum(row[3] for row in await users_of(database, ADA.owner_id)) == 2 * 111_111 + 5
    assert await users_of(database, AccountId("acc_eve")) == []


@pytest.mark.parametrize("word", ["user", "endpoint", "status", "provider", "app"])
async def test_sums_by_a_word_are_those_of_the_rows(database, word):
    drawn = [{"end_user": "ada", "app": "cli"}, {"provider": None, "status": 402}, {"endpoint": "x", "end_user": ""}]
    async with database.connection() as connection:
        await write(
            connection, [Logged(row=usage_row(ADA, **each), cost=n, charged=n) for n, each in enumerate(drawn * 3)]
        )
        await store.fold(connection, 4)
        match = Match(since=at(-1), until=at(1))
        summed = await store.by_word(connection, ADA.owner_id, match, (word, ""), 2)
        rows = await store.by_word(connection, ADA.owner_id, structs.replace(match, status_least=0), (word, ""), 2)
    assert [tuple(row) for row in summed] == [tuple(row) for row in rows]
    assert sum(row["charged"] for row in rows) == sum(range(9))


async def test_sums_of_days_end_with_their_time_and_words_with_the_rows(database, database_url):
    await spend(database, database_url, at(-20), at(0))
    await fold(database)
    await tend(database, Retention(rows_days=10, hours_days=60))
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM usage_days") == 2
        assert await connection.fetchval("SELECT count(*) FROM usage_model_days") == 2
        assert await connection.fetchval("SELECT count(DISTINCT day) FROM usage_words") == 1
        await tend(database, Retention(rows_days=10, hours_days=10))
        for table in ("usage_hours", "usage_days", "usage_model_days"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1
    assert await audit(database) == []
