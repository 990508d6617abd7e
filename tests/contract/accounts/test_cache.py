"""Who a key belongs to: from memory, shared, dropped when it changes, kept through an outage."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from hypereal.accounts import (
    KeyCache,
    KeyChange,
    KeyTerms,
    NewKey,
    change_key,
    create_key,
    create_user,
    permit_address,
    revoke_key,
    rotate_key,
    set_rate,
)
from hypereal.accounts import cache as cache_module
from hypereal.kit import db as db_module
from hypereal.kit.clock import coarse, next_month_start, utc_now
from hypereal.kit.db import Database, Feed
from hypereal.kit.errors import AuthenticationFailed, Overloaded, PermissionDenied, SpendingLimitReached
from hypereal.kit.ids import hash_key, new_key
from hypereal.kit.money import Micro


@pytest.fixture
async def made(database) -> NewKey:
    user = await create_user(database, "ada@example.com")
    return await create_key(database, user.account_id, KeyTerms(spending_limit=Micro(5)))


@pytest.fixture
async def feed(database_url) -> AsyncIterator[Feed]:
    feed = Feed(database_url)
    yield feed
    await feed.stop()


@pytest.fixture
def cache(database, feed) -> KeyCache:
    coarse.tick()
    return KeyCache(database, feed)


async def test_fetched_key_is_had_from_memory(made, cache):
    secret = made.secret.encode()
    assert cache.get(hash_key(secret)) is None
    principal = await cache.fetch(secret)
    assert cache.get(hash_key(secret)) is principal
    assert (principal.owner_id, principal.key_id, principal.spending_limit) == (made.key.owner_id, made.key.id, 5)


@pytest.mark.parametrize("credential", [b"", b"sk-1", b"ck_", b"ck_" + b"G" * 64, b"ck_" + b"0" * 65, b"\xff" * 67])
async def test_wrong_shape_is_refused_without_a_query(credential):
    cache = KeyCache(Database("postgresql://never-opened/"), Feed("postgresql://never-opened/"))
    with pytest.raises(AuthenticationFailed):
        await cache.fetch(credential)


async def test_unknown_inactive_and_expired_keys_say_which(database, made, cache):
    owner_id = made.key.owner_id
    with pytest.raises(AuthenticationFailed, match="Unknown"):
        await cache.fetch(new_key().encode())
    await change_key(database, owner_id, made.key.id, KeyChange(is_active=False))
    with pytest.raises(AuthenticationFailed, match="inactive"):
        await cache.fetch(made.secret.encode())
    expired = await create_key(database, owner_id, KeyTerms(expires_at=utc_now() - timedelta(seconds=5)))
    with pytest.raises(AuthenticationFailed, match="expired at"):
        await cache.fetch(expired.secret.encode())


async def test_key_that_expires_while_it_is_cached_is_asked_for_again(database, made, cache, monkeypatch):
    soon = utc_now() + timedelta(seconds=30)
    short = await create_key(database, made.key.owner_id, KeyTerms(expires_at=soon))
    await cache.fetch(short.secret.encode())
    monkeypatch.setattr(coarse, "unix_s", soon.timestamp() + 1)
    assert cache.get(hash_key(short.secret.encode())) is None
    with pytest.raises(AuthenticationFailed, match="expired"):
        await cache.fetch(short.secret.encode())


async def test_callers_of_one_key_share_one_query(made, cache, monkeypatch):
    asked = []
    find_key = cache_module.store.find_key

    async def counted(connection: object, key_hash: bytes) -> object:
        asked.append(key_hash)
        return await find_key(connection, key_hash)

    monkeypatch.setattr(cache_module.store, "find_key", counted)
    principals = await asyncio.gather(*(cache.fetch(made.secret.encode()) for _ in range(10)))
    assert len(asked) == 1
    assert len({id(principal) for principal in principals}) == 1


async def test_refusal_is_remembered_for_a_while_and_bounded(made, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "ENTRIES_MAX", 3)
    for _ in range(10):
        with pytest.raises(AuthenticationFailed):
            await cache.fetch(new_key().encode())
    assert len(cache._refused) == 3


async def test_changed_key_is_dropped_at_once(database, made, feed, cache):
    heard = asyncio.Event()
    feed.on(cache_module.CHANNEL, lambda _: heard.set())  # after the cache
    feed.start()
    await feed.connected.wait()
    await cache.fetch(made.secret.encode())
    heard.clear()
    await revoke_key(database, made.key.owner_id, made.key.id)
    await heard.wait()
    assert cache.get(hash_key(made.secret.encode())) is None
    with pytest.raises(AuthenticationFailed, match="Unknown"):
        await cache.fetch(made.secret.encode())


async def test_answer_that_a_change_overtook_is_not_kept(made, cache, monkeypatch):
    find_key = cache_module.store.find_key

    async def overtaken(connection: object, key_hash: bytes) -> object:
        row = await find_key(connection, key_hash)
        cache._changed(made.key.id)
        return row

    monkeypatch.setattr(cache_module.store, "find_key", overtaken)
    await cache.fetch(made.secret.encode())
    assert cache.get(hash_key(made.secret.encode())) is None


async def test_outage_is_not_a_bad_key(made, cache, monkeypatch):
    """A key that was read is served for ten minutes; another is told to try again, never 401."""
    principal = await cache.fetch(made.secret.encode())

    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(cache_module.store, "find_key", away)
    cache._changed(None)
    assert cache.get(hash_key(made.secret.encode())) is None
    assert await cache.fetch(made.secret.encode()) is principal
    with pytest.raises(Overloaded):
        await cache.fetch(new_key().encode())
    monkeypatch.setattr(coarse, "monotonic_s", coarse.monotonic_s + 601)
    with pytest.raises(Overloaded):
        await cache.fetch(made.secret.encode())


async def test_a_rotated_out_secret_works_until_its_grace_time_ends(database, made, cache):
    owner_id, former = made.key.owner_id, made.secret.encode()
    rotated = await rotate_key(database, owner_id, made.key.id, 3600)
    principal = await cache.fetch(former)
    assert principal.key_id == (await cache.fetch(rotated.secret.encode())).key_id == made.key.id
    assert principal.expires_at == pytest.approx(utc_now().timestamp() + 3600, abs=60)
    async with database.connection() as connection:
        await connection.execute("UPDATE keys SET former_until = now() - interval '1 s'")
    cache._changed(made.key.id)
    with pytest.raises(AuthenticationFailed, match="expired"):
        await cache.fetch(former)
    assert (await cache.fetch(rotated.secret.encode())).expires_at is None


async def test_a_secret_that_was_rotated_out_twice_is_unknown(database, made, cache):
    owner_id = made.key.owner_id
    second = await rotate_key(database, owner_id, made.key.id)
    await rotate_key(database, owner_id, made.key.id)
    with pytest.raises(AuthenticationFailed, match="Unknown"):
        await cache.fetch(made.secret.encode())
    assert await cache.fetch(second.secret.encode())


async def test_a_rotation_without_grace_ends_the_old_secret_at_once(database, made, cache):
    await rotate_key(database, made.key.owner_id, made.key.id, 0)
    with pytest.raises(AuthenticationFailed):
        await cache.fetch(made.secret.encode())


async def test_a_key_that_its_budget_stopped_is_402_and_says_when_it_resets(database, made, cache):
    async with database.connection() as connection:
        await connection.execute("UPDATE keys SET stopped_at = now()")
    for _ in range(2):  # from the database, then from memory
        with pytest.raises(SpendingLimitReached) as refused:
            await cache.fetch(made.secret.encode())
        assert refused.value.details["resets_at"] == f"{next_month_start(utc_now()):%Y-%m-%dT%H:%M:%SZ}"


async def test_a_rate_of_the_accounts_own_is_known_at_once(database, made, cache, feed):
    feed.start()
    await feed.connected.wait()
    secret = made.secret.encode()
    assert (await cache.fetch(secret)).requests_per_minute is None
    for rate in (7, None):
        await set_rate(database, made.key.owner_id, rate)
        async with asyncio.timeout(5):
            while cache.get(hash_key(secret)) is not None:
                await asyncio.sleep(0.01)
        assert (await cache.fetch(secret)).requests_per_minute == rate


async def test_a_key_bound_to_addresses_says_so(database, made, cache):
    await change_key(database, made.key.owner_id, made.key.id, KeyChange(allowed_ips=("10.0.0.0/8",)))
    principal = await cache.fetch(made.secret.encode())
    permit_address(principal, "10.1.2.3")
    for address in ("11.1.2.3", "unknown", ""):
        with pytest.raises(PermissionDenied):
            permit_address(principal, address)


async def test_database_that_says_nothing_is_not_waited_for(database, made, cache, monkeypatch):
    monkeypatch.setattr(db_module, "ANSWER_S_MAX", 0.2)
    principal = await cache.fetch(made.secret.encode())
    cache._changed(None)
    async with database.transaction() as other:
        await other.execute("LOCK TABLE keys")
        assert await cache.fetch(made.secret.encode()) is principal
        with pytest.raises(Overloaded):
            await cache.fetch(new_key().encode())
    assert (await cache.fetch(made.secret.encode())).key_id == principal.key_id
