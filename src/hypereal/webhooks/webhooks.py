"""Events on their way: `emit` writes them in the transaction that made them so, and jobs deliver them."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg
import msgspec

from hypereal import jobs
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import Conflict, InvalidRequest, NotFound
from hypereal.kit.ids import AccountId, DeliveryId, EndpointId, new_ordered_id
from hypereal.kit.outbound import Outbound
from hypereal.webhooks import store
from hypereal.webhooks.endpoints import Endpoints
from hypereal.webhooks.events import TEST, Event, body_of, matches

DELIVER = "webhooks.deliver"
URL_FIELDS = ("webhook_url", "webhookUrl")
Target = tuple[EndpointId, str | None]
"""An endpoint, and the URL where it is not the endpoint's."""


class ToDeliver(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a `webhooks.deliver` job, whose owner is the delivery's."""

    delivery_id: DeliveryId


class Attempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One try."""

    at: datetime
    status: int | None = None
    """Of the answer, where there was one."""
    error: str | None = None
    duration_ms: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way to one endpoint, or there."""

    id: DeliveryId
    message_id: str
    """`webhook-id`: the same at each try and each replay."""
    endpoint_id: EndpointId
    type: str
    url: str
    state: str
    attempts: list[Attempt]
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    body: bytes


class Webhooks:
    """All owners' webhooks. After the commit of what emitted, `jobs.announce` has them sent at once."""

    def __init__(self, database: Database, outbound: Outbound, secret: str) -> None:
        self.database = database
        self.outbound = outbound
        self.endpoints = Endpoints(database, outbound, secret)

    async def emit(
        self, connection: Connection, owner_id: AccountId, event: Event, *, url: str | None = None
    ) -> list[DeliveryId]:
        """Tell EVENT to the owner's endpoints that listen to it, and to URL, which one request gave.

        In the caller's transaction: what is rolled back is not told. URL has been through `check_url`.
        """
        listening = await store.list_listening(connection, owner_id)
        targets: list[Target] = [
            (EndpointId(row["id"]), None) for row in listening if matches(row["events"], event.type)
        ]
        if url is not None:
            targets.append((await self.endpoints.default_id(connection, owner_id), url))
        return await self._send(connection, owner_id, event, targets)

    async def _send(
        self,
        connection: Connection,
        owner_id: AccountId,
        event: Event,
        targets: list[Target],
    ) -> list[DeliveryId]:
        if not targets:
            return []
        message_id = new_ordered_id("msg")
        await store.add_message(connection, owner_id, message_id, event.type, body_of(event, utc_now()))
        return await self._deliver(connection, owner_id, message_id, targets)

    async def _deliver(
        self,
        connection: Connection,
        owner_id: AccountId,
        message_id: str,
        targets: list[Target],
    ) -> list[DeliveryId]:
        ids = [DeliveryId(new_ordered_id("whd")) for _ in targets]
        rows = [(one, *target) for one, target in zip(ids, targets, strict=True)]
        await store.add_deliveries(connection, owner_id, message_id, rows)
        new = (jobs.NewJob(kind=DELIVER, owner_id=owner_id, payload=ToDeliver(delivery_id=one)) for one in ids)
        await jobs.enqueue(connection, *new)
        return ids

    async def check_url(self, url: str, field: str) -> None:
        """See that events may be sent to URL, which a request gave as FIELD. Raises UnusableUrl."""
        await self.outbound.check(url, field)

    # -- by hand ---------------------------------------------------------------------------------------------------

    async def test(self, owner_id: AccountId, endpoint_id: str) -> Delivery:
        """Send an endpoint a `webhook.test`. Raises NotFound, Conflict where it is off or has no URL."""
        endpoint, _ = await self.endpoints.find(owner_id, endpoint_id)
        if endpoint.url is None or not endpoint.is_enabled:
            raise Conflict("This endpoint is off, or is the default, which has no URL of its own.")
        event = Event(type=TEST, data=msgspec.Raw(msgspec.json.encode({"endpointId": endpoint.id})))
        async with self.database.transaction() as connection:
            [delivery_id] = await self._send(connection, owner_id, event, [(endpoint.id, None)])
        await jobs.announce(self.database)
        return await self.find_delivery(owner_id, endpoint.id, delivery_id)

    async def replay(self, owner_id: AccountId, endpoint_id: str, delivery_id: DeliveryId) -> Delivery:
        """Send a message again, as a delivery of its own. Raises NotFound, Conflict where its endpoint is off."""
        endpoint, _ = await self.endpoints.find(owner_id, endpoint_id)
        if not endpoint.is_enabled:
            raise Conflict("This endpoint is off. Turn it on first.")
        async with self.database.transaction() as connection:
            row = await store.find_delivery(connection, owner_id, delivery_id)
            if row is None or row["endpoint_id"] != endpoint.id:
                raise NotFound("There is no such delivery.")
            [again] = await self._deliver(connection, owner_id, row["message_id"], [(endpoint.id, row["url"])])
        await jobs.announce(self.database)
        return await self.find_delivery(owner_id, endpoint.id, again)

    async def find_delivery(self, owner_id: AccountId, endpoint_id: EndpointId, delivery_id: DeliveryId) -> Delivery:
        """Raises NotFound."""
        async with self.database.connection() as connection:
            row = await store.find_delivery(connection, owner_id, delivery_id)
        if row is None or row["endpoint_id"] != endpoint_id:
            raise NotFound("There is no such delivery.")
        return _delivery(row)

    async def list_deliveries(
        self, owner_id: AccountId, endpoint_id: str, *, before: DeliveryId | None = None, limit: int
    ) -> list[Delivery]:
        """The newest LIMIT deliveries to an endpoint that are older than BEFORE. Raises NotFound."""
        endpoint, _ = await self.endpoints.find(owner_id, endpoint_id)
        async with self.database.connection() as connection:
            rows = await store.list_deliveries(connection, owner_id, endpoint.id, before, limit)
        return [_delivery(row) for row in rows]


def url_in(members: Mapping[str, object]) -> tuple[str, str] | None:
    """The webhook URL of a request's body and the name that it has there; None where there is none.

    Both names are read (contract 4.4). Raises InvalidRequest where it is no text.
    """
    for field in URL_FIELDS:
        url = members.get(field)
        if url is not None:
            if not isinstance(url, str):
                raise InvalidRequest(f"{field}: give a URL.", param=field)
            return url, field
    return None


def _delivery(row: asyncpg.Record) -> Delivery:
    facts = {name: row[name] for name in Delivery.__struct_fields__}
    attempts = msgspec.json.decode(row["attempts"], type=list[Attempt])
    return Delivery(**facts | {"attempts": attempts, "url": row["leads_to"]})
