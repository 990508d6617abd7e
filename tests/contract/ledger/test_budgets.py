"""Keys that have used 80 % and all of their limit are found once each, however many look."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from tests.support.ledger import Caller, usage_row
from tests.support.request_log import Logged, write

from hypereal.accounts import create_user
from hypereal.jobs import list_jobs
from hypereal.kit.budgets import BUDGET_REACHED, BudgetReached
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.events import EMIT
from hypereal.kit.ids import AccountId, KeyId, new_id
from hypereal.kit.money import Micro
from hypereal.ledger import spent_this_month
from hypereal.ledger.request_log import fold
from hypereal.ledger.worker import find_low, find_reached


class Month:
    """A key's month, as the data processes write it."""

    def __init__(self, database: Database, owner_id: AccountId) -> None:
        self._database = database
        self.owner_id = owner_id
        self.key_id = KeyId(new_id("key"))
        self.pool_id = f"{self.key_id}/{utc_now():%Y-%m}"

    async def write(self, used: int, limit: int) -> None:
        await self._execute(
            """
            INSERT INTO pools (id, owner_id, kind, used, funded) VALUES ($1, $2, 'key_month', $3, $4)
            ON CONFLICT (id) DO UPDATE SET used = EXCLUDED.used, funded = EXCLUDED.funded
            """,
            *(self.pool_id, self.owner_id, used, limit),
        )

    async def refuse(self, minutes_ago: int = 0) -> None:
        """A call was refused, since it did not fit into the rest."""
        await self._execute(
            """
            INSERT INTO usage SELECT * FROM json_populate_record(NULL::usage, json_build_object(
                'request_id', $1::text, 'started_at', now() - make_interval(mins => $4), 'owner_id', $2::text,
                'key_id', $3::text, 'endpoint', 'x', 'dialect', 'x', 'model', 'x', 'status', 402,
                'error_type', 'spending_limit_reached', 'is_stream', false, 'attempts', 0, 'duration_ms', 0,
                'client', '', 'input_tokens', 0, 'cache_read_tokens', 0, 'cache_write_tokens', 0,
                'cache_write_1h_tokens', 0, 'output_tokens', 0, 'reasoning_tokens', 0, 'web_searches', 0,
                'is_estimated', false, 'cost', 0, 'charged', 0, 'written_off', 0))
            """,
            *(new_id("req"), self.owner_id, self.key_id, minutes_ago),
        )

    async def news(self) -> list[tuple[int, int, int]]:
        """(percent, used, limit) of all alerts so far."""
        rows = [row for row in await list_jobs(self._database) if row.kind == BUDGET_REACHED]
        told = [msgspec.json.decode(bytes(row.payload), type=BudgetReached) for row in rows]
        assert all(row.owner_id == self.owner_id for row in rows)
        return sorted((one.percent, one.used, one.limit) for one in told if one.key_id == self.key_id)

    async def _execute(self, query: str, *values: object) -> None:
        async with self._database.connection() as connection:
            await connection.execute(query, *values)


@pytest.fixture
async def month(database: Database) -> Month:
    return Month(database, (await create_user(database, "ada@example.com")).account_id)


async def test_each_percentage_is_told_once(month: Month, database: Database):
    told = []
    for used in (0, 79, 80, 99, 100, 100):
        await month.write(used, 100)
        await find_reached(database)
        await find_reached(database)
        told.append([percent for percent, _, _ in await month.news()])
    assert told == [[], [], [80], [80], [80, 100], [80, 100]]


async def test_what_is_crossed_at_once_is_told_all(month: Month, database: Database):
    await month.write(120, 100)
    await find_reached(database)
    assert await month.news() == [(80, 120, 100), (100, 120, 100)]


async def test_many_who_look_at_once_tell_it_once(month: Month, database: Database):
    months = [Month(database, month.owner_id) for _ in range(40)]
    for one in months:
        await one.write(100, 100)
    found = await asyncio.gather(*(find_reached(database) for _ in range(6)))
    found.append(await find_reached(database))
    assert sum(found) == 80
    for one in months:
        assert [percent for percent, _, _ in await one.news()] == [80, 100]


async def test_a_locked_pool_holds_nobody_up_and_is_told_next_time(month: Month, database: Database):
    await month.write(100, 100)
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM pools WHERE id = $1 FOR UPDATE", month.pool_id)
        assert await asyncio.wait_for(find_reached(database), 5) == 0
    assert await find_reached(database) == 2


async def test_a_raised_limit_is_told_of_again_when_it_is_reached(month: Month, database: Database):
    await month.write(100, 100)
    await find_reached(database)
    await month.write(100, 120)  # still over 80 %
    assert await find_reached(database) == 0
    await month.write(120, 120)
    assert await find_reached(database) == 1
    await month.write(120, 1000)
    assert await find_reached(database) == 0
    await month.write(800, 1000)
    assert await find_reached(database) == 1
    assert await month.news() == [(80, 100, 100), (80, 800, 1000), (100, 100, 100), (100, 120, 120)]


async def test_a_lowered_limit_may_be_reached_by_that(month: Month, database: Database):
    await month.write(85, 100)
    await find_reached(database)
    await month.write(85, 80)
    await find_reached(database)
    assert [percent for percent, _, _ in await month.news()] == [80, 100]


async def test_a_limit_is_reached_too_where_calls_do_not_fit_into_the_rest(month: Month, database: Database):
    await month.write(50, 100)
    await month.refuse()
    assert await find_reached(database) == 0, "one call that is too large uses nothing up"
    await month.write(95, 100)
    assert await find_reached(database) == 2
    await month.write(95, 105)
    assert await find_reached(database) == 0, "refusals of the old limit do not count"
    assert await find_reached(database) == 0
    await month.refuse()
    assert await find_reached(database) == 1


async def test_old_refusals_and_limits_of_nothing_are_no_news(month: Month, database: Database):
    await month.write(90, 100)
    await month.refuse(minutes_ago=15)
    assert await find_reached(database) == 1
    nothing = Month(database, month.owner_id)
    await nothing.write(0, 0)
    assert await find_reached(database) == 0


async def test_more_than_a_page_is_told_whole(month: Month, database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hypereal.ledger.worker.PAGE", 2)
    months = [Month(database, month.owner_id) for _ in range(7)]
    for one in months:
        await one.write(90, 100)
    assert await find_reached(database) == 7


async def test_what_was_spent_is_told_to_its_owner_alone(month: Month, database: Database):
    await month.write(42, 100)
    other = (await create_user(database, "eve@example.com")).account_id
    unused = KeyId("key_unused")
    limited = [month.key_id, unused]
    assert await spent_this_month(database, month.owner_id, limited, []) == {month.key_id: 42, unused: 0}
    assert await spent_this_month(database, other, limited, []) == {month.key_id: 0, unused: 0}


async def test_of_a_key_without_a_limit_the_log_knows_what_it_spent(month: Month, database: Database):
    await month.write(42, 100)
    payer = Caller(owner_id=month.owner_id, key_id=KeyId("key_free"))
    first = utc_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [first, utc_now(), first - timedelta(microseconds=1)]
    logged = [Logged(row=usage_row(payer, started_at=start), cost=7, charged=5) for start in starts]
    async with database.connection() as connection:
        await write(connection, logged)
    keys = [payer.key_id, KeyId("key_unused")]
    told = {payer.key_id: 10, KeyId("key_unused"): 0}
    assert await spent_this_month(database, month.owner_id, [month.key_id], keys) == {month.key_id: 42, **told}
    await fold(database)
    assert await spent_this_month(database, month.owner_id, [], keys) == told
    other = (await create_user(database, "eve@example.com")).account_id
    assert await spent_this_month(database, other, [], keys) == dict.fromkeys(keys, 0)


async def test_a_wallet_that_falls_to_the_mark_is_told_of_once_and_again_once_it_was_filled(database: Database):
    owner_id = (await create_user(database, "ada@example.com")).account_id

    async def fall_to(balance: int) -> list[str]:
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO pools (id, owner_id, kind, funded, used) "
                "VALUES ($1, $1, 'wallet', 1000, 1000 - $2::bigint) "
                "ON CONFLICT (id) DO UPDATE SET used = EXCLUDED.used",
                owner_id,
                balance,
            )
        await find_low(database, Micro(500))
        assert await find_low(database, Micro(500)) == 0
        jobs = [job for job in await list_jobs(database) if job.kind == EMIT]
        assert all(job.owner_id == owner_id for job in jobs)
        return [msgspec.json.decode(bytes(job.payload))["data"]["balanceCredits"] for job in jobs]

    assert await fall_to(1000) == []
    assert await fall_to(501) == []
    assert await fall_to(500) == [0.0005]
    assert await fall_to(3) == [0.0005]
    assert await fall_to(800) == [0.0005]
    assert sorted(await fall_to(7)) == [0.000007, 0.0005]
