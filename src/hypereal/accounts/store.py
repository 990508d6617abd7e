"""All SQL of the accounts."""

from collections.abc import Mapping

import asyncpg

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, KeyId, UserId


async def add_account(connection: Connection, account_id: AccountId, kind: str, name: str) -> None:
    """A new account of KIND person or organization."""
    await connection.execute("INSERT INTO accounts (id, kind, name) VALUES ($1, $2, $3)", account_id, kind, name)


async def add_user(
    connection: Connection, account_id: AccountId, user_id: UserId, email: str, facts: tuple[str | None, bool]
) -> asyncpg.Record:
    """A new user with FACTS (password hash, is operator). Raises UniqueViolationError where the address is taken."""
    row = await connection.fetchrow(
        """
        INSERT INTO users (id, account_id, email, password_hash, is_operator) VALUES ($1, $2, $3, $4, $5)
        RETURNING id, account_id, email, is_operator, created_at
        """,
        user_id,
        account_id,
        email,
        *facts,
    )
    assert row is not None
    return row


async def find_user(connection: Connection, email: str) -> asyncpg.Record | None:
    """The user with this address in any case."""
    return await connection.fetchrow(
        "SELECT id, account_id, email, is_operator, created_at FROM users WHERE lower(email) = lower($1)", email
    )


async def list_users(connection: Connection, after: UserId, limit: int) -> list[asyncpg.Record]:
    """The next LIMIT users of this installation."""
    return await connection.fetch(
        "SELECT id, account_id, email, is_operator, created_at FROM users WHERE id > $1 ORDER BY id LIMIT $2",
        after,
        limit,
    )


async def add_key(connection: Connection, owner_id: AccountId, facts: Mapping[str, object]) -> asyncpg.Record:
    """A new key with FACTS, by column."""
    row = await connection.fetchrow(
        """
        INSERT INTO keys (owner_id, id, name, hash, hint, scopes, models, spending_limit, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        RETURNING id, owner_id, name, hint, scopes, models, spending_limit, is_active, expires_at, created_at
        """,
        owner_id,
        *(facts[column] for column in ("id", "name", "hash", "hint", "scopes", "models", "spending_limit")),
        facts["expires_at"],
    )
    assert row is not None
    return row


async def list_keys(connection: Connection, owner_id: AccountId, after: KeyId, limit: int) -> list[asyncpg.Record]:
    """The next LIMIT keys of an owner."""
    return await connection.fetch(
        """
        SELECT id, owner_id, name, hint, scopes, models, spending_limit, is_active, expires_at, created_at
        FROM keys WHERE owner_id = $1 AND id > $2 ORDER BY id LIMIT $3
        """,
        owner_id,
        after,
        limit,
    )


async def read_key(connection: Connection, owner_id: AccountId, key_id: KeyId) -> asyncpg.Record | None:
    """An owner's key."""
    return await connection.fetchrow(
        """
        SELECT id, owner_id, name, hint, scopes, models, spending_limit, is_active, expires_at, created_at
        FROM keys WHERE owner_id = $1 AND id = $2
        """,
        owner_id,
        key_id,
    )


async def lock_key(connection: Connection, owner_id: AccountId, key_id: KeyId) -> asyncpg.Record | None:
    """An owner's key, locked until the transaction ends."""
    return await connection.fetchrow(
        """
        SELECT id, owner_id, name, hint, scopes, models, spending_limit, is_active, expires_at, created_at
        FROM keys WHERE owner_id = $1 AND id = $2 FOR UPDATE
        """,
        owner_id,
        key_id,
    )


async def write_key(connection: Connection, owner_id: AccountId, key_id: KeyId, facts: Mapping[str, object]) -> None:
    """Set what can be changed of a key."""
    await connection.execute(
        """
        UPDATE keys SET name = $3, models = $4, spending_limit = $5, expires_at = $6, is_active = $7
        WHERE owner_id = $1 AND id = $2
        """,
        owner_id,
        key_id,
        *(facts[column] for column in ("name", "models", "spending_limit", "expires_at", "is_active")),
    )


async def delete_key(connection: Connection, owner_id: AccountId, key_id: KeyId) -> bool:
    """False where this owner has no such key."""
    deleted = await connection.fetchval(
        "DELETE FROM keys WHERE owner_id = $1 AND id = $2 RETURNING id", owner_id, key_id
    )
    return deleted is not None


async def find_owner(connection: Connection, key_id: KeyId) -> AccountId | None:
    """Who owns this key: operators name keys without their owner."""
    owner_id: AccountId | None = await connection.fetchval("SELECT owner_id FROM keys WHERE id = $1", key_id)
    return owner_id


async def find_key(connection: Connection, key_hash: bytes) -> asyncpg.Record | None:
    """The key with this hash, whoever owns it: this is how an owner is found."""
    return await connection.fetchrow(
        "SELECT id, owner_id, scopes, models, spending_limit, is_active, expires_at FROM keys WHERE hash = $1", key_hash
    )


async def addresses_of(connection: Connection, owner_id: AccountId, rows_max: int) -> list[str]:
    """The e-mail addresses of an account's people, at most ROWS_MAX."""
    rows = await connection.fetch(
        "SELECT email FROM users WHERE account_id = $1 ORDER BY id LIMIT $2", owner_id, rows_max
    )
    return [row["email"] for row in rows]
