"""People: an e-mail address, an optional password, and the account that owns what they make."""

import asyncio
from datetime import datetime

import argon2
import asyncpg
import msgspec

from hypereal.accounts import store
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import Conflict, InvalidRequest
from hypereal.kit.ids import AccountId, UserId, new_id

EMAIL_LENGTH_MAX = 254
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 1024
PAGE_MAX = 100
RATE_MAX = 1_000_000
PEOPLE_MAX = 20
"""Of one account, who get a mail."""

_hasher = argon2.PasswordHasher()


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person; `account_id` owns their keys and their wallet."""

    id: UserId
    account_id: AccountId
    email: str
    is_operator: bool
    created_at: datetime


async def create_user(
    database: Database, email: str, *, password: str | None = None, is_operator: bool = False
) -> User:
    """A new user with an account. Without a password they cannot sign in until they set one.

    Raises InvalidRequest for an address or password of no use, Conflict where the address is taken in any case.
    """
    email = _checked(email)
    password_hash = None if password is None else await _hashed(password)
    account_id, user_id = AccountId(new_id("acc")), UserId(new_id("usr"))
    try:
        async with database.transaction() as connection:
            await store.add_account(connection, account_id, "person", email)
            row = await store.add_user(connection, account_id, user_id, email, (password_hash, is_operator))
    except asyncpg.UniqueViolationError:
        raise Conflict(f"There is a user {email} already.", param="email") from None
    return msgspec.convert(dict(row), User)


async def find_user(database: Database, email: str) -> User | None:
    """The user with this address, whatever its case."""
    async with database.connection() as connection:
        row = await store.find_user(connection, email.strip())
    return None if row is None else msgspec.convert(dict(row), User)


async def list_users(database: Database, *, after: UserId | None = None, limit: int = PAGE_MAX) -> list[User]:
    """At most LIMIT (100) users of this installation in the order of their ids, those that come after AFTER.

    For operators: nobody else may see who the others are.
    """
    async with database.connection() as connection:
        rows = await store.list_users(connection, after or UserId(""), min(limit, PAGE_MAX))
    return [msgspec.convert(dict(row), User) for row in rows]


async def set_rate(database: Database, account_id: AccountId, requests_per_minute: int | None) -> None:
    """The rate of all the account's keys together; None for that of the settings. Every process knows at once.

    Raises InvalidRequest for a rate of no use. For operators.
    """
    if requests_per_minute is not None and not 1 <= requests_per_minute <= RATE_MAX:
        raise InvalidRequest(f"A rate is 1 to {RATE_MAX} requests per minute.", param="requestsPerMinute")
    async with database.connection() as connection:
        await store.set_rate(connection, account_id, requests_per_minute)


async def addresses_of(connection: Connection, owner_id: AccountId) -> list[str]:
    """Where the people of an account get mail; at most PEOPLE_MAX."""
    return await store.addresses_of(connection, owner_id, PEOPLE_MAX)


async def ensure_user(database: Database, email: str) -> User:
    """The user with this address, made where there is none. Raises InvalidRequest."""
    found = await find_user(database, email)
    if found is not None:
        return found
    try:
        return await create_user(database, email)
    except Conflict:
        made_meanwhile = await find_user(database, email)
        assert made_meanwhile is not None, "users are never deleted"
        return made_meanwhile


def _checked(email: str) -> str:
    email = email.strip()
    name, at, host = email.rpartition("@")
    is_plain = email.isprintable() and not any(character.isspace() for character in email)
    if not (name and at and host and is_plain and len(email) <= EMAIL_LENGTH_MAX):
        raise InvalidRequest("That is not an e-mail address.", param="email")
    return email


async def _hashed(password: str) -> str:
    """Takes some 50 ms and 64 MiB, so in a thread."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        limits = f"{PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX}"
        raise InvalidRequest(f"A password has {limits} characters.", param="password")
    return await asyncio.to_thread(_hasher.hash, password)
