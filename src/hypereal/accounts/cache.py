"""Who a key belongs to, from memory: what a data process asks for every call.

An entry is fresh for 60 s, and dropped at once when its key changes (the database's notices). While the database is
away an entry serves for 600 s: an outage of ours must not look like a bad key.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import asyncpg

from hypereal.accounts import store
from hypereal.accounts.addresses import is_within, network
from hypereal.accounts.principal import Entry, Principal
from hypereal.kit.clock import coarse, next_month_start, utc_now
from hypereal.kit.db import UNREACHABLE, Database, Feed, in_time
from hypereal.kit.errors import AuthenticationFailed, HyperealError, Overloaded, PermissionDenied, SpendingLimitReached
from hypereal.kit.ids import KEY_PREFIX, hash_key

CHANNEL: Final = "keys"
FRESH_S: Final = 60.0
STALE_S_MAX: Final = 600.0
REFUSED_S: Final = 10.0
ASK_AGAIN_S: Final = 5.0
"""How long a stale entry serves until the database is tried again."""
ENTRIES_MAX: Final = 10_000
FETCHES_MAX: Final = 1_000

Value = TypeVar("Value")
Refusal = Callable[[], HyperealError]

_NOT_REFUSED: Final[tuple[float, Refusal]] = (0.0, partial(AuthenticationFailed, "Unknown API key."))
_SHAPE: Final = re.compile(rb"ck_[0-9a-f]{64}")


class KeyCache:
    """`get` from memory; where that gives None, `fetch` from the database."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._entries: dict[bytes, Entry] = {}
        self._refused: dict[bytes, tuple[float, Refusal]] = {}
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
        until_s, refusal = self._refused.get(key_hash, _NOT_REFUSED)
        if until_s > coarse.monotonic_s:
            raise refusal()
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
        refusal = _refusal(row)
        if row is None or refusal is not None:
            self._entries.pop(key_hash, None)
            refusal = refusal or _NOT_REFUSED[1]
            if changes == self._changes:
                _put(self._refused, key_hash, (coarse.monotonic_s + REFUSED_S, refusal))
            raise refusal()
        principal = Principal(
            key_id=row["id"],
            owner_id=row["owner_id"],
            scopes=frozenset(row["scopes"]),
            models=None if row["models"] is None else frozenset(row["models"]),
            spending_limit=row["spending_limit"],
            expires_at=None if row["expires_at"] is None else row["expires_at"].timestamp(),
            networks=None if row["allowed_ips"] is None else tuple(map(network, row["allowed_ips"])),
            requests_per_minute=row["requests_per_minute"],
            bodies_days=row["bodies_days"],
        )
        if changes == self._changes:  # else it may be what the change replaced
            now_s = coarse.monotonic_s
            _put(self._entries, key_hash, Entry(principal, now_s, now_s + FRESH_S))
        return principal

    def _stale(self, key_hash: bytes) -> Principal:
        entry = self._entries.get(key_hash)
        if entry is None or coarse.monotonic_s - entry.read_s > STALE_S_MAX:
            raise _unreachable()
        expires_at = entry.principal.expires_at
        if expires_at is not None and expires_at <= coarse.unix_s:
            raise AuthenticationFailed("This API key has expired.")
        entry.fresh_until_s = coarse.monotonic_s + ASK_AGAIN_S
        return entry.principal

    def _fetched(self, key_hash: bytes, task: asyncio.Task[Principal]) -> None:
        del self._fetches[key_hash]
        if not task.cancelled():
            task.exception()  # whoever awaited it has it; nobody may be left to

    def _changed(self, subject: str | None) -> None:
        """A key or an account changed, or (None) any may have while the notices were interrupted."""
        self._changes += 1
        self._refused.clear()
        if subject is None:
            for entry in self._entries.values():
                entry.fresh_until_s = 0.0
            return
        for key_hash, entry in list(self._entries.items()):
            if subject in (entry.principal.key_id, entry.principal.owner_id):
                del self._entries[key_hash]


def permit_address(principal: Principal, address: str) -> None:
    """Raises PermissionDenied where the key is not for callers from ADDRESS."""
    if principal.networks is not None and not is_within(address, principal.networks):
        raise PermissionDenied(f"This key may not be used from {address[:100]}: it is bound to other addresses.")


def _put(entries: dict[bytes, Value], key_hash: bytes, value: Value) -> None:
    entries.pop(key_hash, None)
    if len(entries) >= ENTRIES_MAX:
        del entries[next(iter(entries))]
    entries[key_hash] = value


def _refusal(row: asyncpg.Record | None) -> Refusal | None:
    """Why the key of ROW is not let in; None where it is."""
    if row is None:
        return _NOT_REFUSED[1]
    if not row["is_active"]:
        return partial(AuthenticationFailed, "This API key is inactive.")
    if row["expires_at"] is not None and row["expires_at"].timestamp() <= coarse.unix_s:
        return partial(AuthenticationFailed, f"This API key expired at {row['expires_at']:%Y-%m-%dT%H:%M:%SZ}.")
    if row["stopped_at"] is not None:
        return _stopped
    return None


def _stopped() -> SpendingLimitReached:
    resets_at = f"{next_month_start(utc_now()):%Y-%m-%dT%H:%M:%SZ}"
    return SpendingLimitReached(
        "This key has used up its spending limit, and stays off until a person turns it on. "
        f"The limit resets at {resets_at}.",
        details={"resets_at": resets_at},
    )


def _wrong_shape(credential: bytes) -> str:
    if credential.startswith(KEY_PREFIX.encode()):
        return f"Malformed API key: a key is {KEY_PREFIX} and 64 lowercase hex digits."
    return f"Invalid API key: keys of this service begin with {KEY_PREFIX}."


def _unreachable() -> Overloaded:
    return Overloaded("Keys cannot be checked at the moment. Please try again.")
