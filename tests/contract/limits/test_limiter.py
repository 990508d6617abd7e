"""Rate quotas over several processes, by the database's minutes."""

import asyncio
import random
import time

import pytest

from hypereal.kit import db as db_module
from hypereal.kit.errors import Overloaded, RateLimited
from hypereal.kit.ids import AccountId
from hypereal.limits import RateLimiter
from hypereal.limits import limiter as limiter_module

ADA = AccountId("acc_ada")


@pytest.fixture(autouse=True)
async def at_the_beginning_of_a_minute(database):
    """Windows are real minutes: a test that would cross into the next one begins there."""
    async with database.connection() as connection:
        left_s = 60 - await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8") % 60
        if left_s < 5:
            await connection.execute("SELECT pg_sleep($1)", left_s)


async def test_first_request_asks_and_the_next_does_not(database):
    limiter = RateLimiter(database, processes=1)
    assert limiter.admit(ADA, 80) is None
    quota = await limiter.fetch(ADA, 80)
    assert (quota.limit, quota.remaining) == (80, 79)
    assert 0 < quota.reset_s <= 60
    next_quota = limiter.admit(ADA, 80)
    assert next_quota is not None
    assert next_quota.remaining == 78


async def test_processes_together_admit_exactly_the_limit(database):
    limiters = [RateLimiter(database, processes=3) for _ in range(3)]

    async def one(limiter: RateLimiter) -> bool:
        try:
            await limiter.fetch(ADA, 50)
        except RateLimited:
            return False
        return True

    admitted = 0
    for _ in range(30):
        admitted += sum(await asyncio.gather(*(one(limiter) for limiter in limiters for _ in range(2))))
    assert admitted == 50


@pytest.mark.parametrize("processes", [1, 2, 4])
async def test_of_200_at_once_what_fits_is_admitted_and_not_more(database, processes):
    limiters = [RateLimiter(database, processes=processes) for _ in range(processes)]
    seed = random.Random(7)

    async def one() -> RateLimited | None:
        try:
            await seed.choice(limiters).fetch(ADA, 100)
        except RateLimited as refusal:
            return refusal
        return None

    refusals = await asyncio.gather(*(one() for _ in range(200)))
    assert 95 <= refusals.count(None) <= 100
    for refusal in filter(None, refusals):
        assert 1 <= int(refusal.headers["x-ratelimit-reset"]) <= 60


async def test_over_the_limit_is_refused_from_memory_with_the_headers(database, monkeypatch):
    limiter = RateLimiter(database, processes=1)
    await limiter.fetch(ADA, 1)
    with pytest.raises(RateLimited):
        await limiter.fetch(ADA, 1)
    with pytest.raises(RateLimited) as refusal:
        limiter.admit(ADA, 1)
    headers = refusal.value.headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("1", "0")
    assert 1 <= int(headers["retry-after"]) <= 30
    assert 1 <= int(headers["x-ratelimit-reset"]) <= 60


async def test_owners_do_not_share_a_window(database):
    limiter = RateLimiter(database, processes=1)
    await limiter.fetch(ADA, 1)
    assert (await limiter.fetch(AccountId("acc_grace"), 1)).remaining == 0


async def test_slice_ends_with_its_window(database, monkeypatch):
    limiter = RateLimiter(database, processes=1)
    await limiter.fetch(ADA, 80)
    now_s = time.monotonic()
    monkeypatch.setattr(limiter_module, "monotonic", lambda: now_s + 61)
    assert limiter.admit(ADA, 80) is None


async def test_changed_limit_counts_at_once(database):
    limiter = RateLimiter(database, processes=1)
    await limiter.fetch(ADA, 80)
    with pytest.raises(RateLimited):
        await limiter.fetch(ADA, 5)


async def test_outage_is_served_from_what_is_left_then_refused_as_our_fault(database, monkeypatch):
    limiter = RateLimiter(database, processes=1)
    await limiter.fetch(ADA, 16)

    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(limiter_module.store, "take", away)
    assert limiter.admit(ADA, 16) is not None
    assert limiter.admit(ADA, 16) is None
    with pytest.raises(Overloaded):
        await limiter.fetch(ADA, 16)


async def test_long_outage_is_counted_alone_up_to_the_share_of_each_process(database, monkeypatch):
    limiter = RateLimiter(database, processes=4)
    await limiter.fetch(ADA, 16)

    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(limiter_module.store, "take", away)
    now_s = time.monotonic()
    monkeypatch.setattr(limiter_module, "monotonic", lambda: now_s + 61)
    assert [(await limiter.fetch(ADA, 16)).remaining for _ in range(4)] == [3, 2, 1, 0]
    with pytest.raises(RateLimited):
        await limiter.fetch(ADA, 16)
    with pytest.raises(Overloaded):
        await limiter.fetch(AccountId("acc_unknown"), 16)


async def test_database_that_says_nothing_is_not_waited_for(database, monkeypatch):
    monkeypatch.setattr(db_module, "ANSWER_S_MAX", 0.2)
    limiter = RateLimiter(database, processes=1)
    async with database.transaction() as other:
        await other.execute("LOCK TABLE rate_windows")
        with pytest.raises(Overloaded):
            await limiter.fetch(ADA, 16)
    assert (await limiter.fetch(ADA, 16)).limit == 16


async def test_old_windows_are_swept_by_whoever_opens_a_new_one(database):
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO rate_windows (owner_id, minute, used) SELECT 'acc_' || i, i, 1 FROM generate_series(1, 50) i"
        )
        await RateLimiter(database, processes=1).fetch(ADA, 5)
        assert await connection.fetchval("SELECT count(*) FROM rate_windows") == 1
