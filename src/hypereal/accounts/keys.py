"""Keys (`ck_…`): made, listed, changed and revoked by their owner. Shown once; only a hash is kept."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from hypereal.accounts import store
from hypereal.accounts.addresses import network
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.errors import InvalidRequest, NotFound
from hypereal.kit.ids import AccountId, KeyId, hash_key, new_id, new_key
from hypereal.kit.money import CREDITS_MAX, MICRO_PER_CREDIT, Micro

SCOPES = frozenset({"inference", "account"})
NAME_LENGTH_MAX = 200
MODELS_MAX = 1_000
PAGE_MAX = 101
"""One more than a page of the API shows: so it knows whether there are more."""
HINT_LENGTH = 4
ADDRESSES_MAX = 100
GRACE_S_DEFAULT = 24 * 3600.0
GRACE_S_MAX = 30 * 24 * 3600.0
BODY_DAYS_DEFAULT = 7
BODY_DAYS_MAX = 30


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do."""

    name: str = "default"
    scopes: frozenset[str] = frozenset({"inference"})
    models: frozenset[str] | None = None
    """The only model ids it may call; None for all."""
    spending_limit: Micro | None = None
    """Per calendar month, UTC."""
    auto_disable: bool = False
    """A key that has used up its limit stays off, next month too, until a person turns it on."""
    allowed_ips: tuple[str, ...] | None = None
    """The only addresses and ranges that it may be used from; None for all."""
    expires_at: datetime | None = None
    log_bodies: bool = False
    """Whether what its calls ask and are answered is kept,"""
    body_retention_days: int = BODY_DAYS_DEFAULT
    """and for how many whole days (UTC) besides the call's own."""


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """New values; what is UNSET stays."""

    name: str | UnsetType = UNSET
    models: frozenset[str] | UnsetType | None = UNSET
    spending_limit: Micro | UnsetType | None = UNSET
    auto_disable: bool | UnsetType = UNSET
    allowed_ips: tuple[str, ...] | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    """True also turns a key on that its budget has stopped."""
    log_bodies: bool | UnsetType = UNSET
    body_retention_days: int | UnsetType = UNSET
    """Of bodies of calls from now on."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; `hint` is the secret's end."""

    id: KeyId
    owner_id: AccountId
    name: str
    hint: str
    scopes: frozenset[str]
    models: frozenset[str] | None
    spending_limit: Micro | None
    auto_disable: bool
    allowed_ips: tuple[str, ...] | None
    is_active: bool
    stopped_at: datetime | None
    """When its budget stopped it; None where it did not, or somebody turned the key on since."""
    expires_at: datetime | None
    former_until: datetime | None
    """Until when the secret works that it had before it was rotated."""
    created_at: datetime
    log_bodies: bool
    body_retention_days: int

    @property
    def state(self) -> str:
        """'active', 'inactive', 'stopped' (by its budget) or 'expired'."""
        if not self.is_active:
            return "inactive"
        if self.expires_at is not None and self.expires_at <= utc_now():
            return "expired"
        return "active" if self.stopped_at is None else "stopped"


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """The only time that a key's secret is seen."""

    secret: str
    key: Key

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r})"


async def create_key(database: Database, owner_id: AccountId, terms: KeyTerms) -> NewKey:
    """A new key of this owner. Raises InvalidRequest for terms that make no sense."""
    terms = msgspec.structs.replace(terms, allowed_ips=_networks(terms.allowed_ips))
    _check(terms)
    secret = new_key()
    facts: dict[str, object] = {
        **msgspec.structs.asdict(terms),
        "id": new_id("key"),
        "hash": hash_key(secret.encode()),
        "hint": secret[-HINT_LENGTH:],
    }
    async with database.connection() as connection:
        await store.add_key(connection, owner_id, facts)
        row = await store.read_key(connection, owner_id, KeyId(str(facts["id"])))
    assert row is not None
    return NewKey(secret=secret, key=msgspec.convert(dict(row), Key))


async def list_keys(
    database: Database, owner_id: AccountId, *, after: KeyId | None = None, limit: int = PAGE_MAX
) -> list[Key]:
    """At most LIMIT (101) of the owner's keys in the order of their ids, those that come after AFTER."""
    async with database.connection() as connection:
        rows = await store.list_keys(connection, owner_id, after or KeyId(""), min(limit, PAGE_MAX))
    return [msgspec.convert(dict(row), Key) for row in rows]


async def find_key(database: Database, owner_id: AccountId, key_id: KeyId) -> Key:
    """One of the owner's keys. Raises NotFound."""
    async with database.connection() as connection:
        row = await store.read_key(connection, owner_id, key_id)
    if row is None:
        raise NotFound("There is no such key.")
    return msgspec.convert(dict(row), Key)


async def change_key(database: Database, owner_id: AccountId, key_id: KeyId, change: KeyChange) -> Key:
    """Give a key new terms, or switch it on and off. Every process knows within a second.

    Raises NotFound where this owner has no such key, InvalidRequest for terms that make no sense.
    """
    async with database.transaction() as connection:
        row = await store.lock_key(connection, owner_id, key_id)
        if row is not None:
            current = msgspec.convert(dict(row), Key)
            values = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
            if change.is_active is True:
                values["stopped_at"] = None
            changed = msgspec.structs.replace(current, **values)
            changed = msgspec.structs.replace(changed, allowed_ips=_networks(changed.allowed_ips))
            _check(changed)
            await store.write_key(connection, owner_id, changed.id, msgspec.structs.asdict(changed))
            return changed
    raise NotFound("There is no such key.")


async def rotate_key(
    database: Database, owner_id: AccountId, key_id: KeyId, grace_s: float = GRACE_S_DEFAULT
) -> NewKey:
    """Give a key a new secret. The one it has works for GRACE_S more; limits and what was spent are the key's and stay.

    Raises NotFound where this owner has no such key, InvalidRequest for a grace time of no use.
    """
    if not 0 <= grace_s <= GRACE_S_MAX:
        raise InvalidRequest(f"A grace time is 0 to {GRACE_S_MAX:g} seconds.", param="graceSeconds")
    secret = new_key()
    async with database.transaction() as connection:
        if await store.lock_key(connection, owner_id, key_id) is None:
            raise NotFound("There is no such key.")
        facts = (hash_key(secret.encode()), secret[-HINT_LENGTH:])
        await store.rotate_key(connection, owner_id, key_id, facts, grace_s)
        row = await store.read_key(connection, owner_id, key_id)
    assert row is not None
    return NewKey(secret=secret, key=msgspec.convert(dict(row), Key))


async def revoke_key(database: Database, owner_id: AccountId, key_id: KeyId) -> None:
    """Delete a key: calls with it get 401 within a second. Raises NotFound where this owner has no such key."""
    async with database.connection() as connection:
        if not await store.delete_key(connection, owner_id, key_id):
            raise NotFound("There is no such key.")


async def find_owner(database: Database, key_id: KeyId) -> AccountId:
    """The account that owns a key. For operators. Raises NotFound."""
    async with database.connection() as connection:
        owner_id = await store.find_owner(connection, key_id)
    if owner_id is None:
        raise NotFound("There is no such key.")
    return owner_id


def _check(terms: KeyTerms | Key) -> None:
    if not terms.name.strip() or len(terms.name) > NAME_LENGTH_MAX or not terms.name.isprintable():
        raise InvalidRequest(f"A name has 1 to {NAME_LENGTH_MAX} printable characters.", param="name")
    if not terms.scopes or not terms.scopes <= SCOPES:
        raise InvalidRequest(f"Scopes are {', '.join(sorted(SCOPES))}.", param="scopes")
    if terms.models is not None and not 1 <= len(terms.models) <= MODELS_MAX:
        raise InvalidRequest(f"A list of models names 1 to {MODELS_MAX}.", param="models")
    if terms.spending_limit is not None and not 0 <= terms.spending_limit <= CREDITS_MAX * MICRO_PER_CREDIT:
        raise InvalidRequest("A spending limit is 0 credits or more.", param="spendingLimit")
    if terms.expires_at is not None and terms.expires_at.tzinfo is None:
        raise InvalidRequest("A time needs its zone.", param="expiresAt")
    if not 1 <= terms.body_retention_days <= BODY_DAYS_MAX:
        raise InvalidRequest(f"Bodies are kept for 1 to {BODY_DAYS_MAX} days.", param="bodyRetentionDays")


def _networks(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """TEXTS as they are kept: '10.1.2.3' and '10.0.0.0/8'. Raises InvalidRequest."""
    if texts is None:
        return None
    if not 1 <= len(texts) <= ADDRESSES_MAX:
        raise InvalidRequest(f"A list of addresses has 1 to {ADDRESSES_MAX}.", param="allowedIps")
    try:
        return tuple(dict.fromkeys(str(network(text)) for text in texts))
    except ValueError as error:
        raise InvalidRequest(f"Not an address or a range: {error}.", param="allowedIps") from None
