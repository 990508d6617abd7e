"""Endpoints: where an account's events go, which of them, and the secrets that sign them."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg
import msgspec

from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import Conflict, InvalidRequest, NotFound
from hypereal.kit.ids import AccountId, EndpointId, new_id
from hypereal.kit.outbound import Outbound
from hypereal.kit.sealing import Sealer
from hypereal.webhooks import store
from hypereal.webhooks.events import ALL, check_filters
from hypereal.webhooks.signing import new_secret

PURPOSE = b"hypereal webhooks 1"
"""The number is that of the format."""
ENDPOINTS_MAX = 20
"""Of one owner."""
DESCRIPTION_LENGTH_MAX = 200
GRACE_S = 24 * 3600.0
"""How long the secret before a rotation signs too."""
DEFAULT = "default"
"""Names an owner's default endpoint."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint."""

    id: EndpointId
    url: str | None
    """None for the owner's default, whose secret signs what goes to URLs of single requests."""
    events: list[str]
    description: str
    is_enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    """It has done nothing but fail since."""
    old_until: datetime | None
    """Until then the secret before the last rotation signs too."""
    created_at: datetime


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be otherwise; None leaves it."""

    url: str | None = None
    events: list[str] | None = None
    description: str | None = None
    is_enabled: bool | None = None


class Endpoints:
    """The endpoints of all owners. Secrets are in the database encrypted only."""

    def __init__(self, database: Database, outbound: Outbound, secret: str) -> None:
        self._database = database
        self._outbound = outbound
        self._sealer = Sealer(secret, PURPOSE)

    async def create(self, owner_id: AccountId, asked: Change) -> tuple[Endpoint, str]:
        """A new endpoint and its secret. Raises InvalidRequest, UnusableUrl, Conflict for too many."""
        if asked.url is None:
            raise InvalidRequest("url: an endpoint needs one.", param="url")
        await self._outbound.check(asked.url, "url")
        endpoint_id, secret = EndpointId(new_id("whe")), new_secret()
        facts = {
            "id": endpoint_id,
            "url": asked.url,
            "events": check_filters([ALL] if asked.events is None else asked.events),
            "description": _described(asked.description) or "",
            "sealed": self._sealed(owner_id, endpoint_id, secret),
        }
        async with self._database.transaction() as connection:
            if await store.count_endpoints(connection, owner_id) >= ENDPOINTS_MAX:
                raise Conflict(f"An account has at most {ENDPOINTS_MAX} endpoints.")
            row = await store.add_endpoint(connection, owner_id, facts)
        return _endpoint(row), secret

    async def list_endpoints(
        self, owner_id: AccountId, *, after: EndpointId | None = None, limit: int
    ) -> list[Endpoint]:
        """At most LIMIT endpoints in the order of their ids, those that come after AFTER; not the default."""
        async with self._database.connection() as connection:
            rows = await store.list_endpoints(connection, owner_id, after or EndpointId(""), limit)
        return [_endpoint(row) for row in rows]

    async def find(self, owner_id: AccountId, endpoint_id: str) -> tuple[Endpoint, str]:
        """An endpoint and its secret; the default is made where there is none. Raises NotFound."""
        async with self._database.transaction() as connection:
            row = await self._row(connection, owner_id, endpoint_id)
        return _endpoint(row), self.secret_of(owner_id, row["id"], row["sealed"])

    async def change(self, owner_id: AccountId, endpoint_id: str, change: Change) -> Endpoint:
        """Raises NotFound, InvalidRequest, UnusableUrl."""
        if change.url is not None:
            await self._outbound.check(change.url, "url")
        facts: Mapping[str, object] = {
            "url": change.url,
            "events": None if change.events is None else check_filters(change.events),
            "description": _described(change.description),
            "is_enabled": change.is_enabled,
        }
        async with self._database.connection() as connection:
            row = await store.write_endpoint(connection, owner_id, EndpointId(endpoint_id), facts)
        return _endpoint(_there(row))

    async def rotate(self, owner_id: AccountId, endpoint_id: str, grace_s: float = GRACE_S) -> tuple[Endpoint, str]:
        """A new secret; for GRACE_S the old one signs too. Raises NotFound."""
        secret = new_secret()
        async with self._database.transaction() as connection:
            found = await self._row(connection, owner_id, endpoint_id)
            sealed = self._sealed(owner_id, found["id"], secret)
            row = await store.rotate_secret(connection, owner_id, found["id"], sealed, grace_s)
        return _endpoint(_there(row)), secret

    async def delete(self, owner_id: AccountId, endpoint_id: str) -> None:
        """And what is on its way there. Raises NotFound."""
        async with self._database.connection() as connection:
            if not await store.delete_endpoint(connection, owner_id, EndpointId(endpoint_id)):
                raise NotFound("There is no such endpoint.")

    async def default_id(self, connection: Connection, owner_id: AccountId) -> EndpointId:
        """The owner's default endpoint, made in the caller's transaction where there is none."""
        row = await store.find_endpoint(connection, owner_id, None)
        if row is None:
            endpoint_id = EndpointId(new_id("whe"))
            await store.ensure_default(
                connection, owner_id, endpoint_id, self._sealed(owner_id, endpoint_id, new_secret())
            )
            row = _there(await store.find_endpoint(connection, owner_id, None))
        return EndpointId(row["id"])

    def secret_of(self, owner_id: AccountId, endpoint_id: EndpointId, sealed: bytes) -> str:
        """The secret that was SEALED for the endpoint. Raises RuntimeError where the server's own has changed."""
        opened = self._sealer.open(owner_id, endpoint_id, sealed)
        if opened is None:
            raise RuntimeError("[server] secret is not the one that this endpoint's was encrypted with")
        return opened.decode()

    def _sealed(self, owner_id: AccountId, endpoint_id: EndpointId, secret: str) -> bytes:
        return self._sealer.seal(owner_id, endpoint_id, secret.encode())

    async def _row(self, connection: Connection, owner_id: AccountId, endpoint_id: str) -> asyncpg.Record:
        if endpoint_id == DEFAULT:
            endpoint_id = await self.default_id(connection, owner_id)
        return _there(await store.find_endpoint(connection, owner_id, EndpointId(endpoint_id)))


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(**{name: row[name] for name in Endpoint.__struct_fields__})


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("There is no such endpoint.")
    return row


def _described(text: str | None) -> str | None:
    if text is not None and len(text) > DESCRIPTION_LENGTH_MAX:
        raise InvalidRequest(f"description: at most {DESCRIPTION_LENGTH_MAX} characters.", param="description")
    return text
