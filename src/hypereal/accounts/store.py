"""All SQL of the accounts."""

from collections.abc import Mapping

import asyncpg

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, KeyId, UserId

KEY = """
SELECT id, owner_id, name, hint, scopes, models, spending_limit, auto_disable, allowed_ips, is_active, stopped_at,
    expires_at, former_until, created_at, log_bodies, body_retention_days
FROM keys"""
NEW_KEY = (
    "id",
    "name",
    "hash",
    "hint",
    "scopes",
    "models",
    "spending_limit",
    "auto_disable",
    "allowed_ips",
    "expires_at",
    "log_bodies",
    "body_retention_days",
)
CHANGED_KEY = (
    *("name", "models", "spending_limit", "auto_disable", "allowed_ips", "is_active", "stopped_at", "expires_at"),
    *("log_bodies", "body_retention_days"),
)


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


async def add_key(connection: Connection, owner_id: AccountId, facts: Mapping[str, object]) -> None:
    """A new key with FACTS, by column."""
    await connection.execute(
        """
        INSERT INTO keys (
            owner_id, id, name, hash, hint, scopes, models, spending_limit, auto_disable, allowed_ips, expires_at,
            log_bodies, body_retention_days
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        owner_id,
        *(facts[column] for column in NEW_KEY),
    )


async def list_keys(connection: Connection, owner_id: AccountId, after: KeyId, limit: int) -> list[asyncpg.Record]:
    """The next LIMIT keys of an owner."""
    query = KEY + " WHERE owner_id = $1 AND id > $2 ORDER BY id LIMIT $3"
    return await connection.fetch(query, owner_id, after, limit)


async def read_key(connection: Connection, owner_id: AccountId, key_id: KeyId) -> asyncpg.Record | None:
    """An owner's key."""
    return await connection.fetchrow(KEY + " WHERE owner_id = $1 AND id = $2", owner_id, key_id)


async def lock_key(connection: Connection, owner_id: AccountId, key_id: KeyId) -> asyncpg.Record | None:
    """An owner's key, locked until the transaction ends."""
    return await connection.fetchrow(KEY + " WHERE owner_id = $1 AND id = $2 FOR UPDATE", owner_id, key_id)


async def write_key(connection: Connection, owner_id: AccountId, key_id: KeyId, facts: Mapping[str, object]) -> None:
    """Set what can be changed of a key."""
    await connection.execute(
        """
        UPDATE keys SET name = $3, models = $4, spending_limit = $5, auto_disable = $6, allowed_ips = $7,
            is_active = $8, stopped_at = $9, expires_at = $10, log_bodies = $11, body_retention_days = $12
        WHERE owner_id = $1 AND id = $2
        """,
        owner_id,
        key_id,
        *(facts[column] for column in CHANGED_KEY),
    )


async def rotate_key(
    connection: Connection, owner_id: AccountId, key_id: KeyId, secret: tuple[bytes, str], grace_s: float
) -> None:
    """Give a key a new SECRET (hash, hint). The former one works for GRACE_S more; what was former before, not."""
    await connection.execute(
        """
        UPDATE keys SET hash = $3, hint = $4, former_hash = CASE WHEN $5::float8 > 0 THEN hash END,
            former_until = now() + make_interval(secs => $5)
        WHERE owner_id = $1 AND id = $2
        """,
        owner_id,
        key_id,
        *secret,
        grace_s,
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
    """The key with this hash, whoever owns it: this is how an owner is found. A
    former hash expires with its grace time."""
    return await connection.fetchrow(
        """
        SELECT k.id, k.owner_id, k.scopes, k.models, k.spending_limit, k.allowed_ips, k.is_active, k.stopped_at,
            CASE WHEN k.hash = $1 THEN k.expires_at ELSE least(k.former_until, k.expires_at) END AS expires_at,
            CASE WHEN k.log_bodies THEN k.body_retention_days END AS bodies_days, a.requests_per_minute
        FROM keys k JOIN accounts a ON a.id = k.owner_id WHERE k.hash = $1 OR k.former_hash = $1
        """,
        key_hash,
    )


async def set_rate(connection: Connection, owner_id: AccountId, requests_per_minute: int | None) -> None:
    """The rate of all the account's keys together; None for that of the settings."""
    await connection.execute(
        "UPDATE accounts SET requests_per_minute = $2 WHERE id = $1", owner_id, requests_per_minute
    )


async def addresses_of(connection: Connection, owner_id: AccountId, rows_max: int) -> list[str]:
    """The e-mail addresses of an account's people, at most ROWS_MAX."""
    rows = await connection.fetch(
        "SELECT email FROM users WHERE account_id = $1 ORDER BY id LIMIT $2", owner_id, rows_max
    )
    return [row["email"] for row in rows]
