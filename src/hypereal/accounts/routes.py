"""The keys' routes of the control process."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request

from hypereal.accounts.keys import (
    BODY_DAYS_DEFAULT,
    GRACE_S_DEFAULT,
    Key,
    KeyChange,
    KeyTerms,
    change_key,
    create_key,
    find_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.asked import Page, PageQuery, body_of, page_of, query_of
from hypereal.kit.clock import next_month_start, utc_now
from hypereal.kit.db import Database
from hypereal.kit.errors import InvalidRequest
from hypereal.kit.ids import AccountId, KeyId
from hypereal.kit.money import Micro, credits_json, micro_from_credits

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Credits = Annotated[Decimal, msgspec.Meta(extra_json_schema={"type": "number"})]
Spent = Callable[[AccountId, Collection[KeyId], Collection[KeyId]], Awaitable[dict[KeyId, Micro]]]
"""What was charged this month to keys with a limit, and to others: the ledger knows."""
FindModel = Callable[[str], str | None]
"""The id of a model by any of its names; None where there is none: the catalog knows."""


class MadeKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """POST /api/api-keys"""

    name: str = "default"
    spending_limit: Credits | None = None
    """Credits per calendar month, UTC."""
    auto_disable: bool = False
    models: list[str] | None = None
    allowed_ips: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = ("inference",)
    expires_at: Time | None = None
    log_bodies: bool = False
    """Keep what its calls ask and are answered, encrypted: GET /api/api-usage/{id} shows it."""
    body_retention_days: int = BODY_DAYS_DEFAULT


class ChangedKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """PATCH /api/api-keys/{id}: what is not named stays; null takes a limit away."""

    name: str | UnsetType = UNSET
    spending_limit: Credits | UnsetType | None = UNSET
    auto_disable: bool | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    allowed_ips: tuple[str, ...] | UnsetType | None = UNSET
    expires_at: Time | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    log_bodies: bool | UnsetType = UNSET
    body_retention_days: int | UnsetType = UNSET


class RotatedKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """POST /api/api-keys/{id}/rotate"""

    grace_seconds: float = GRACE_S_DEFAULT


class ShownKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key as the API tells of it."""

    id: KeyId
    name: str
    hint: str
    """The end of its secret."""
    state: str
    is_active: bool
    scopes: list[str]
    models: list[str] | None
    spending_limit: msgspec.Raw | None
    spent: msgspec.Raw
    """This month. Where there is a limit, what counts against it."""
    resets_at: datetime
    auto_disable: bool
    stopped_at: datetime | None
    allowed_ips: tuple[str, ...] | None
    expires_at: datetime | None
    former_until: datetime | None
    created_at: datetime
    log_bodies: bool
    body_retention_days: int
    key: str | UnsetType = UNSET
    """The secret: where it was just made, and never again."""


class OwnKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """GET /v1/key"""

    id: KeyId
    name: str
    scopes: list[str]
    models: list[str] | None
    limit: msgspec.Raw | None
    spent: msgspec.Raw
    remaining: msgspec.Raw | None
    resets_at: datetime
    expires_at: datetime | None


class KeyRoutes:
    """The routes, and what they need of others."""

    def __init__(self, database: Database, spent: Spent, find_model: FindModel) -> None:
        self._database = database
        self._spent = spent
        self._find_model = find_model

    async def list_page(self, request: Request, caller: Caller) -> Page[ShownKey]:
        """GET /api/api-keys"""
        asked = query_of(request, PageQuery)
        found = await list_keys(self._database, caller.owner_id, after=KeyId(asked.after), limit=asked.limit + 1)
        spent = await self._spent_by(caller, found)
        return page_of([_shown(key, spent) for key in found], asked.limit, lambda key: key.id)

    async def make(self, request: Request, caller: Caller) -> ShownKey:
        """POST /api/api-keys"""
        body = await body_of(request, MadeKey)
        terms = KeyTerms(
            name=body.name,
            scopes=frozenset(body.scopes),
            models=self._models(body.models),
            spending_limit=_micro(body.spending_limit),
            auto_disable=body.auto_disable,
            allowed_ips=body.allowed_ips,
            expires_at=body.expires_at,
            log_bodies=body.log_bodies,
            body_retention_days=body.body_retention_days,
        )
        made = await create_key(self._database, caller.owner_id, terms)
        return msgspec.structs.replace(_shown(made.key, {}), key=made.secret)

    async def show(self, request: Request, caller: Caller) -> ShownKey:
        """GET /api/api-keys/{id}"""
        return await self._told(caller, await find_key(self._database, caller.owner_id, _id(request)))

    async def change(self, request: Request, caller: Caller) -> ShownKey:
        """PATCH /api/api-keys/{id}"""
        body = await body_of(request, ChangedKey)
        change = KeyChange(
            name=body.name,
            models=UNSET if body.models is UNSET else self._models(body.models),
            spending_limit=UNSET if body.spending_limit is UNSET else _micro(body.spending_limit),
            auto_disable=body.auto_disable,
            allowed_ips=body.allowed_ips,
            expires_at=body.expires_at,
            is_active=body.is_active,
            log_bodies=body.log_bodies,
            body_retention_days=body.body_retention_days,
        )
        return await self._told(caller, await change_key(self._database, caller.owner_id, _id(request), change))

    async def rotate(self, request: Request, caller: Caller) -> ShownKey:
        """POST /api/api-keys/{id}/rotate"""
        body = await body_of(request, RotatedKey)
        made = await rotate_key(self._database, caller.owner_id, _id(request), body.grace_seconds)
        return msgspec.structs.replace(await self._told(caller, made.key), key=made.secret)

    async def delete(self, request: Request, caller: Caller) -> None:
        """DELETE /api/api-keys/{id}"""
        await revoke_key(self._database, caller.owner_id, _id(request))

    async def show_own(self, _: Request, caller: Caller) -> OwnKey:
        """GET /v1/key"""
        assert caller.key_id is not None, "a session has no key, and not this permission"
        key = await find_key(self._database, caller.owner_id, caller.key_id)
        spent = await self._spent_by(caller, [key])
        shown = _shown(key, spent)
        remaining = None
        if key.spending_limit is not None:
            remaining = credits_json(max(0, key.spending_limit - spent[key.id]))
        return OwnKey(
            id=key.id,
            name=key.name,
            scopes=shown.scopes,
            models=shown.models,
            limit=shown.spending_limit,
            spent=shown.spent,
            remaining=remaining,
            resets_at=shown.resets_at,
            expires_at=key.expires_at,
        )

    async def _told(self, caller: Caller, key: Key) -> ShownKey:
        return _shown(key, await self._spent_by(caller, [key]))

    async def _spent_by(self, caller: Caller, keys: list[Key]) -> dict[KeyId, Micro]:
        limited = [key.id for key in keys if key.spending_limit is not None]
        others = [key.id for key in keys if key.spending_limit is None]
        return await self._spent(caller.owner_id, limited, others)

    def _models(self, names: list[str] | None) -> frozenset[str] | None:
        """The ids of NAMES, which may be aliases. Raises InvalidRequest."""
        if names is None:
            return None
        ids = {name: self._find_model(name) for name in names}
        for name, found in ids.items():
            if found is None:
                raise InvalidRequest(f"There is no model '{name[:100]}'. GET /v1/models lists them.", param="models")
        return frozenset(found for found in ids.values() if found is not None)


def _id(request: Request) -> KeyId:
    return KeyId(request.path_params["id"])


def _micro(amount: Decimal | None) -> Micro | None:
    try:
        return None if amount is None else micro_from_credits(str(amount))
    except ValueError as error:
        raise InvalidRequest(f"spendingLimit: {error}.", param="spendingLimit") from None


def _shown(key: Key, spent: dict[KeyId, Micro]) -> ShownKey:
    now = utc_now()
    return ShownKey(
        id=key.id,
        name=key.name,
        hint=key.hint,
        state=key.state,
        is_active=key.state == "active",
        scopes=sorted(key.scopes),
        models=None if key.models is None else sorted(key.models),
        spending_limit=None if key.spending_limit is None else credits_json(key.spending_limit),
        spent=credits_json(spent.get(key.id, 0)),
        resets_at=next_month_start(now),
        auto_disable=key.auto_disable,
        stopped_at=key.stopped_at,
        allowed_ips=key.allowed_ips,
        expires_at=key.expires_at,
        former_until=key.former_until if key.former_until is not None and key.former_until > now else None,
        created_at=key.created_at,
        log_bodies=key.log_bodies,
        body_retention_days=key.body_retention_days,
    )


def routes(database: Database, spent: Spent, find_model: FindModel) -> list[ApiRoute]:
    """The routes of keys."""
    keys = KeyRoutes(database, spent, find_model)
    return [
        ApiRoute(
            method="GET",
            path="/v1/key",
            permission=Permission.SEE_OWN_KEY,
            summary="The terms of this key, and what it has spent this month.",
            endpoint=keys.show_own,
        ),
        ApiRoute(
            method="GET",
            path="/api/api-keys",
            permission=Permission.READ_KEYS,
            summary="The account's keys, without their secrets.",
            endpoint=keys.list_page,
            query=PageQuery,
        ),
        ApiRoute(
            method="POST",
            path="/api/api-keys",
            permission=Permission.WRITE_KEYS,
            summary="Make a key; its secret is told this once.",
            endpoint=keys.make,
            status=201,
            body=MadeKey,
        ),
        ApiRoute(
            method="GET",
            path="/api/api-keys/{id}",
            permission=Permission.READ_KEYS,
            summary="One key, without its secret.",
            endpoint=keys.show,
        ),
        ApiRoute(
            method="PATCH",
            path="/api/api-keys/{id}",
            permission=Permission.WRITE_KEYS,
            summary="Change a key's terms, or turn it on and off.",
            endpoint=keys.change,
            body=ChangedKey,
        ),
        ApiRoute(
            method="DELETE",
            path="/api/api-keys/{id}",
            permission=Permission.WRITE_KEYS,
            summary="Delete a key for good.",
            endpoint=keys.delete,
            status=204,
        ),
        ApiRoute(
            method="POST",
            path="/api/api-keys/{id}/rotate",
            permission=Permission.WRITE_KEYS,
            summary="Give a key a new secret; the old one works until its grace time ends.",
            endpoint=keys.rotate,
            body=RotatedKey,
        ),
    ]
