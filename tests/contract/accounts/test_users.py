"""People and their accounts."""

import asyncio

import argon2
import pytest

from hypereal.accounts import create_user, ensure_user, find_user
from hypereal.kit.errors import Conflict, InvalidRequest


async def test_user_is_found_by_address_in_any_case(database):
    user = await create_user(database, "Ada@example.com", is_operator=True)
    assert await find_user(database, "ada@EXAMPLE.com") == user
    assert user.is_operator
    assert await find_user(database, "grace@example.com") is None


async def test_address_is_taken_once_in_any_case(database):
    await create_user(database, "ada@example.com")
    with pytest.raises(Conflict):
        await create_user(database, "ADA@example.com")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM accounts WHERE kind = 'person'") == 1


async def test_ensured_user_is_made_once_by_many_at_once(database):
    users = await asyncio.gather(*(ensure_user(database, "ada@example.com") for _ in range(5)))
    assert len({user.id for user in users}) == 1


async def test_password_is_kept_as_an_argon2_hash_only(database):
    user = await create_user(database, "ada@example.com", password="correct horse")
    async with database.connection() as connection:
        kept = await connection.fetchval("SELECT password_hash FROM users WHERE id = $1", user.id)
    assert "horse" not in kept
    assert argon2.PasswordHasher().verify(kept, "correct horse")


@pytest.mark.parametrize(
    "email", ["", "ada", "@example.com", "ada@", "a da@b.com", "ada\n@b.com", "a" * 255 + "@b.com"]
)
async def test_address_of_no_use_is_refused(database, email):
    with pytest.raises(InvalidRequest):
        await create_user(database, email)


@pytest.mark.parametrize("password", ["short", "x" * 1025])
async def test_password_of_no_use_is_refused(database, password):
    with pytest.raises(InvalidRequest):
        await create_user(database, "ada@example.com", password=password)
