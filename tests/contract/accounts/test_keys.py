"""Keys: shown once, owned by one account."""

from datetime import UTC, datetime

import pytest

from hypereal.accounts import (
    KeyChange,
    KeyTerms,
    change_key,
    create_key,
    create_user,
    list_keys,
    revoke_key,
    rotate_key,
)
from hypereal.kit.errors import InvalidRequest, NotFound
from hypereal.kit.ids import AccountId, hash_key
from hypereal.kit.money import Micro

TERMS = KeyTerms(
    name="laptop",
    scopes=frozenset({"inference", "account"}),
    models=frozenset({"gpt-5"}),
    spending_limit=Micro(5),
    auto_disable=True,
    allowed_ips=("10.0.0.0/8", "2001:db8::1/128"),
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
)


async def owner(database, email: str = "ada@example.com") -> AccountId:
    return (await create_user(database, email)).account_id


async def test_secret_is_shown_once_and_kept_as_a_hash(database):
    made = await create_key(database, await owner(database), TERMS)
    async with database.connection() as connection:
        row = dict(await connection.fetchrow("SELECT * FROM keys"))
    assert row["hash"] == hash_key(made.secret.encode())
    assert made.secret not in repr(row)
    assert made.secret not in repr(made)
    assert made.key.hint == made.secret[-4:]


async def test_key_has_the_terms_it_was_made_with(database):
    owner_id = await owner(database)
    made = await create_key(database, owner_id, TERMS)
    [key] = await list_keys(database, owner_id)
    assert key == made.key
    assert {name: getattr(key, name) for name in TERMS.__struct_fields__} == {
        name: getattr(TERMS, name) for name in TERMS.__struct_fields__
    }


async def test_change_sets_what_is_named_and_leaves_the_rest(database):
    owner_id = await owner(database)
    made = await create_key(database, owner_id, TERMS)
    changed = await change_key(database, owner_id, made.key.id, KeyChange(spending_limit=None, is_active=False))
    assert (changed.spending_limit, changed.is_active, changed.models) == (None, False, TERMS.models)
    assert await list_keys(database, owner_id) == [changed]


async def test_pages_follow_each_other(database):
    owner_id = await owner(database)
    made = {(await create_key(database, owner_id, KeyTerms())).key.id for _ in range(5)}
    first = await list_keys(database, owner_id, limit=3)
    second = await list_keys(database, owner_id, after=first[-1].id, limit=3)
    assert {key.id for key in (*first, *second)} == made


async def test_key_of_another_owner_is_not_there(database):
    made = await create_key(database, await owner(database), TERMS)
    other = await owner(database, "grace@example.com")
    with pytest.raises(NotFound):
        await change_key(database, other, made.key.id, KeyChange(name="mine"))
    with pytest.raises(NotFound):
        await revoke_key(database, other, made.key.id)
    assert await list_keys(database, other) == []


@pytest.mark.parametrize(
    "terms",
    [
        KeyTerms(name=" "),
        KeyTerms(name="x" * 201),
        KeyTerms(scopes=frozenset()),
        KeyTerms(scopes=frozenset({"root"})),
        KeyTerms(models=frozenset()),
        KeyTerms(spending_limit=Micro(-1)),
        KeyTerms(expires_at=datetime(2030, 1, 1)),  # noqa: DTZ001
    ],
)
async def test_terms_that_make_no_sense_are_refused(database, terms):
    with pytest.raises(InvalidRequest):
        await create_key(database, await owner(database), terms)


@pytest.mark.parametrize("addresses", [(), ("ten",), ("10.0.0.0/33",), tuple(f"10.0.0.{n}" for n in range(101))])
async def test_addresses_that_are_none_are_refused(addresses, database):
    with pytest.raises(InvalidRequest) as refused:
        await create_key(database, await owner(database), KeyTerms(allowed_ips=addresses))
    assert refused.value.param == "allowedIps"


async def test_a_rotated_key_is_the_same_key_with_another_secret(database):
    owner_id = await owner(database)
    made = await create_key(database, owner_id, TERMS)
    rotated = await rotate_key(database, owner_id, made.key.id, 3600)
    assert rotated.secret != made.secret
    assert (rotated.key.id, rotated.key.hint) == (made.key.id, rotated.secret[-4:])
    assert rotated.key.spending_limit == made.key.spending_limit
    assert rotated.key.former_until is not None


@pytest.mark.parametrize("grace_s", [-1, 30 * 24 * 3600 + 1, float("nan"), float("inf")])
async def test_a_grace_time_has_bounds(grace_s, database):
    owner_id = await owner(database)
    made = await create_key(database, owner_id, TERMS)
    with pytest.raises(InvalidRequest) as refused:
        await rotate_key(database, owner_id, made.key.id, grace_s)
    assert refused.value.param == "graceSeconds"


async def test_nobody_rotates_the_keys_of_others(database):
    made = await create_key(database, await owner(database), TERMS)
    with pytest.raises(NotFound):
        await rotate_key(database, await owner(database, "eve@example.com"), made.key.id)
