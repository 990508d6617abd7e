"""The keys' routes of the control process."""

from datetime import datetime

import msgspec
from starlette.requests import Request

from hypereal.accounts.keys import Key, find_key, list_keys
from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.asked import Page, PageQuery, page_of, query_of
from hypereal.kit.db import Database
from hypereal.kit.ids import KeyId
from hypereal.kit.money import credits_json


class ShownKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key as the API tells of it."""

    id: KeyId
    name: str
    hint: str
    """The end of its secret."""
    scopes: list[str]
    models: list[str] | None
    spending_limit: msgspec.Raw | None
    is_active: bool
    expires_at: datetime | None
    created_at: datetime


def shown(key: Key) -> ShownKey:
    """KEY for its owner."""
    return ShownKey(
        id=key.id,
        name=key.name,
        hint=key.hint,
        scopes=sorted(key.scopes),
        models=None if key.models is None else sorted(key.models),
        spending_limit=None if key.spending_limit is None else credits_json(key.spending_limit),
        is_active=key.is_active,
        expires_at=key.expires_at,
        created_at=key.created_at,
    )


class KeyRoutes:
    """The routes, and what they need."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def declared(self) -> list[ApiRoute]:
        """All of them."""
        return [
            ApiRoute(
                method="GET",
                path="/api/api-keys",
                permission=Permission.READ_KEYS,
                summary="The account's keys, without their secrets.",
                endpoint=self.list,
                query=PageQuery,
            ),
            ApiRoute(
                method="GET",
                path="/api/api-keys/{id}",
                permission=Permission.READ_KEYS,
                summary="One key, without its secret.",
                endpoint=self.show,
            ),
        ]

    async def list(self, request: Request, caller: Caller) -> Page[ShownKey]:
        """GET /api/api-keys"""
        asked = query_of(request, PageQuery)
        found = await list_keys(self._database, caller.owner_id, after=KeyId(asked.after), limit=asked.limit + 1)
        return page_of([shown(key) for key in found], asked.limit, lambda key: key.id)

    async def show(self, request: Request, caller: Caller) -> ShownKey:
        """GET /api/api-keys/{id}"""
        return shown(await find_key(self._database, caller.owner_id, KeyId(request.path_params["id"])))


def routes(database: Database) -> list[ApiRoute]:
    """The routes of keys."""
    return KeyRoutes(database).declared()
