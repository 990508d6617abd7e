"""Who a key belongs to, from memory: what a data process asks for every call.

An entry is fresh for 60 s, and dropped at once when its key changes (the database's notices). While the database is
away an entry serves for 600 s: an outage of ours must not look like a bad key.
"""

import asyncio
import re
from typing import TypeVar

import msgspec

from hypereal.accounts import store
from hypereal.kit.clock import coarse
from hypereal.kit.db import UNREACHABLE, Database, Feed, in_time
from hypereal.kit.errors import AuthenticationFailed, Overloaded
from hypereal.kit.ids import KEY_PREFIX, AccountId, KeyId, hash_key
from hypereal.kit.money import Micro

CHANNEL = "keys"
FRESH_S = 60.0
STALE_S_MAX = 600.0
REFUSED_S = 10.0
ENTRIES_MAX = 10_000
FETCHES_MAX = 1_000

Value = TypeVar("Value")

_SHAPE = re.compile(rb"ck_[0-9a-f]{64}")


class Principal(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Whoever a key speaks for. The owner's wallet pays, and within it the key's month where it has a limit."""

    key_id: KeyId
    owner_id: AccountId
    scopes: frozenset[str]
    models: frozenset[str] | None
    """The only model ids it may call; None for all."""
    spending_limit: Micro | None
    """Per calendar month, UTC."""
    expires_at: float | None
    """Unix seconds."""


class _Entry(msgspec.Struct):
    principal: Principal
    read_s: float
    fresh_until_s: float


class KeyCache:
    """`get` from memory; where that gives None, `fetch` from the database."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._entries: dict[bytes, _Entry] = {}
        self._refused: dict[bytes, tuple[float, str]] = {}
        self._fetches: dict[bytes, asyncio.Task[Principal]] = {}
        self._changes = 0
        feed.on(CHANNEL, self._changed)

    def get(self, key_hash: bytes) -> Principal | None:
        """The principal of a key that was read less than 60 s ago and has not changed or expired since, else None.

        KEY_HASH is `kit.ids.hash_key` of the key: whoever sees the same head again keeps it.
        """
        entry = self._entries.get(key_hash)
        if entry is None or entry.fresh_until_s < coarse.monotonic_s:
            return None
        principal = entry.principal
        if principal.expires_at is not None and principal.expires_at <= coarse.unix_s:
            return None
        return principal

    async def fetch(self, credential: bytes) -> Principal:
        """The principal of a key. Callers that ask for one key at once share one query.

        Raises AuthenticationFailed where it has not the shape of a key (without a query), is unknown, inactive or
        expired; Overloaded where the database is away and the key was not read for 600 s.
        """
        if _SHAPE.fullmatch(credential) is None:
            raise AuthenticationFailed(_wrong_shape(credential))
        key_hash = hash_key(credential)
        until_s, reason = self._refused.get(key_hash, (0.0, ""))
        if until_s > coarse.monotonic_s:
            raise AuthenticationFailed(reason)
        task = self._fetches.get(key_hash)
        if task is None:
            if len(self._fetches) >= FETCHES_MAX:
                raise _unreachable()
            task = self._fetches[key_hash] = asyncio.get_running_loop().create_task(self._read(key_hash))
            task.add_done_callback(lambda done: self._fetched(key_hash, done))
        try:
            return await in_time(task)
        except TimeoutError:
            return self._stale(key_hash)

    async def _read(self, key_hash: bytes) -> Principal:
        changes = self._changes
        try:
            async with self._database.connection() as connection:
                row = await store.find_key(connection, key_hash)
        except UNREACHABLE:
            return self._stale(key_hash)
        reason = "Unknown API key." if row is None else "This API key is inactive." if not row["is_active"] else ""
        if row is not None and row["expires_at"] is not None and row["expires_at"].timestamp() <= coarse.unix_s:
            reason = f"This API key expired at {row['expires_at']:%Y-%m-%dT%H:%M:%SZ}."
        if row is None or reason:
            self._entries.pop(key_hash, None)
            if changes == self._changes:
                _put(self._refused, key_hash, (coarse.monotonic_s + REFUSED_S, reason))
            raise AuthenticationFailed(reason)
        principal = Principal(
            key_id=row["id"],
            owner_id=row["owner_id"],
            scopes=frozenset(row["scopes"]),
            models=None if row["models"] is None else frozenset(row["models"]),
            spending_limit=row["spending_limit"],
            expires_at=None if row["expires_at"] is None else row["expires_at"].timestamp(),
        )
        if changes == self._changes:  # else it may be what the change replaced
            now_s = coarse.monotonic_s
            _put(self._entries, key_hash, _Entry(principal, now_s, now_s + FRESH_S))
        return principal

    def _stale(self, key_hash: bytes) -> Principal:
        entry = self._entries.get(key_hash)
        if entry is None or coarse.monotonic_s - entry.read_s > STALE_S_MAX:
            raise _unreachable()
        expires_at = entry.principal.expires_at
        if expires_at is not None and expires_at <= coarse.unix_s:
            raise AuthenticationFailed("This API key has expired.")
        return entry.principal

    def _fetched(self, key_hash: bytes, task: asyncio.Task[Principal]) -> None:
        del self._fetches[key_hash]
        if not task.cancelled():
            task.exception()  # whoever awaited it has it; nobody may be left to

    def _changed(self, key_id: str | None) -> None:
        """A key changed, or (None) any may have while the notices were interrupted."""
        self._changes += 1
        self._refused.clear()
        if key_id is None:
            for entry in self._entries.values():
                entry.fresh_until_s = 0.0
            return
        for key_hash in [found for found, entry in self._entries.items() if entry.principal.key_id == key_id]:
            del self._entries[key_hash]


def _put(entries: dict[bytes, Value], key_hash: bytes, value: Value) -> None:
    entries.pop(key_hash, None)
    if len(entries) >= ENTRIES_MAX:
        del entries[next(iter(entries))]
    entries[key_hash] = value


def _wrong_shape(credential: bytes) -> str:
    if credential.startswith(KEY_PREFIX.encode()):
        return f"Malformed API key: a key is {KEY_PREFIX} and 64 lowercase hex digits."
    return f"Invalid API key: keys of this service begin with {KEY_PREFIX}."


def _unreachable() -> Overloaded:
    return Overloaded("Keys cannot be checked at the moment. Please try again.")
