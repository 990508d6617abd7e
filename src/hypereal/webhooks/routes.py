"""The webhooks' routes of the control process (contract 4.4)."""

from datetime import datetime
from typing import Annotated

import msgspec
from starlette.requests import Request

from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.asked import Page, PageQuery, body_of, page_of, query_of
from hypereal.kit.ids import DeliveryId, EndpointId
from hypereal.webhooks.endpoints import GRACE_S, Change, Endpoint
from hypereal.webhooks.events import FILTERS_MAX
from hypereal.webhooks.webhooks import Attempt, Delivery, Webhooks

GRACE_HOURS_MAX = 7 * 24
HOUR_S = 3600.0
TEXT_MAX = 8192

Url = Annotated[str, msgspec.Meta(max_length=TEXT_MAX)]


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new endpoint, or what of one is to change."""

    url: Url | None = None
    webhook_url: Url | None = None
    """Another name of `url`."""
    webhook_url_camel: Url | None = msgspec.field(name="webhookUrl", default=None)
    """And another."""
    events: Annotated[list[str], msgspec.Meta(max_length=FILTERS_MAX)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] | None = None
    enabled: bool | None = None

    @property
    def change(self) -> Change:
        """In our words."""
        return Change(
            url=self.url or self.webhook_url or self.webhook_url_camel,
            events=self.events,
            description=self.description,
            is_enabled=self.enabled,
        )


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How long the old secret signs beside the new one."""

    grace_hours: Annotated[int, msgspec.Meta(ge=0, le=GRACE_HOURS_MAX)] = int(GRACE_S / HOUR_S)


class ShownEndpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An endpoint as the API tells of it."""

    id: EndpointId
    url: str | None
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    secret: str | None = None
    """Not in lists."""
    old_secret_until: datetime | None = None


class ShownDelivery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A delivery as the API tells of it."""

    id: DeliveryId
    message_id: str
    type: str
    url: str
    state: str
    attempts: list[Attempt]
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    body: msgspec.Raw


class WebhookRoutes:
    """The routes, and what they need."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def declared(self) -> list[ApiRoute]:
        """All of them."""
        return [*self._of_endpoints(), *self._of_deliveries()]

    def _of_endpoints(self) -> list[ApiRoute]:
        read, write = Permission.READ_WEBHOOKS, Permission.WRITE_WEBHOOKS
        return [
            ApiRoute(
                method="POST",
                path="/v1/webhooks",
                permission=write,
                summary="Add an endpoint; its secret is in the answer.",
                endpoint=self.create,
                status=201,
                body=EndpointBody,
            ),
            ApiRoute(
                method="GET",
                path="/v1/webhooks",
                permission=read,
                summary="The account's endpoints, without their secrets.",
                endpoint=self.list,
                query=PageQuery,
            ),
            ApiRoute(
                method="GET",
                path="/v1/webhooks/{id}",
                permission=write,
                summary="An endpoint with its secret; `default` signs what goes to URLs of single requests.",
                endpoint=self.show,
            ),
            ApiRoute(
                method="PATCH",
                path="/v1/webhooks/{id}",
                permission=write,
                summary="Change an endpoint, or turn it on or off.",
                endpoint=self.change,
                body=EndpointBody,
            ),
            ApiRoute(
                method="DELETE",
                path="/v1/webhooks/{id}",
                permission=write,
                summary="Delete an endpoint, and what is on its way there.",
                endpoint=self.delete,
            ),
            ApiRoute(
                method="POST",
                path="/v1/webhooks/{id}/rotate-secret",
                permission=write,
                summary="A new secret; for some hours the old one signs too.",
                endpoint=self.rotate,
                body=RotateBody,
            ),
            ApiRoute(
                method="POST",
                path="/v1/webhooks/{id}/test",
                permission=write,
                summary="Send the endpoint a `webhook.test` event.",
                endpoint=self.test,
                status=202,
            ),
        ]

    def _of_deliveries(self) -> list[ApiRoute]:
        return [
            ApiRoute(
                method="GET",
                path="/v1/webhooks/{id}/deliveries",
                permission=Permission.READ_WEBHOOKS,
                summary="What was sent to an endpoint in the last 30 days, and how it was answered; newest first.",
                endpoint=self.list_deliveries,
                query=PageQuery,
            ),
            ApiRoute(
                method="POST",
                path="/v1/webhooks/{id}/deliveries/{delivery_id}/replay",
                permission=Permission.WRITE_WEBHOOKS,
                summary="Send an event again, under the same `webhook-id`.",
                endpoint=self.replay,
                status=202,
            ),
        ]

    async def create(self, request: Request, caller: Caller) -> ShownEndpoint:
        """POST /v1/webhooks"""
        asked = await body_of(request, EndpointBody)
        return _shown(*await self._webhooks.endpoints.create(caller.owner_id, asked.change))

    async def list(self, request: Request, caller: Caller) -> Page[ShownEndpoint]:
        """GET /v1/webhooks"""
        asked = query_of(request, PageQuery)
        found = await self._webhooks.endpoints.list_endpoints(
            caller.owner_id, after=EndpointId(asked.after), limit=asked.limit + 1
        )
        return page_of([_shown(endpoint) for endpoint in found], asked.limit, lambda endpoint: endpoint.id)

    async def show(self, request: Request, caller: Caller) -> ShownEndpoint:
        """GET /v1/webhooks/{id}"""
        return _shown(*await self._webhooks.endpoints.find(caller.owner_id, _id_in(request)))

    async def change(self, request: Request, caller: Caller) -> ShownEndpoint:
        """PATCH /v1/webhooks/{id}"""
        asked = await body_of(request, EndpointBody)
        return _shown(await self._webhooks.endpoints.change(caller.owner_id, _id_in(request), asked.change))

    async def delete(self, request: Request, caller: Caller) -> None:
        """DELETE /v1/webhooks/{id}"""
        await self._webhooks.endpoints.delete(caller.owner_id, _id_in(request))

    async def rotate(self, request: Request, caller: Caller) -> ShownEndpoint:
        """POST /v1/webhooks/{id}/rotate-secret"""
        asked = await body_of(request, RotateBody)
        grace_s = asked.grace_hours * HOUR_S
        return _shown(*await self._webhooks.endpoints.rotate(caller.owner_id, _id_in(request), grace_s))

    async def test(self, request: Request, caller: Caller) -> ShownDelivery:
        """POST /v1/webhooks/{id}/test"""
        return _told(await self._webhooks.test(caller.owner_id, _id_in(request)))

    async def list_deliveries(self, request: Request, caller: Caller) -> Page[ShownDelivery]:
        """GET /v1/webhooks/{id}/deliveries"""
        asked = query_of(request, PageQuery)
        before = DeliveryId(asked.after) if asked.after else None
        found = await self._webhooks.list_deliveries(
            caller.owner_id, _id_in(request), before=before, limit=asked.limit + 1
        )
        return page_of([_told(delivery) for delivery in found], asked.limit, lambda delivery: delivery.id)

    async def replay(self, request: Request, caller: Caller) -> ShownDelivery:
        """POST /v1/webhooks/{id}/deliveries/{delivery_id}/replay"""
        delivery_id = DeliveryId(request.path_params["delivery_id"])
        return _told(await self._webhooks.replay(caller.owner_id, _id_in(request), delivery_id))


def _id_in(request: Request) -> str:
    return str(request.path_params["id"])


def _shown(endpoint: Endpoint, secret: str | None = None) -> ShownEndpoint:
    return ShownEndpoint(
        id=endpoint.id,
        url=endpoint.url,
        events=endpoint.events,
        description=endpoint.description,
        enabled=endpoint.is_enabled,
        disabled_reason=endpoint.disabled_reason,
        failing_since=endpoint.failing_since,
        created_at=endpoint.created_at,
        secret=secret,
        old_secret_until=endpoint.old_until,
    )


def _told(delivery: Delivery) -> ShownDelivery:
    return ShownDelivery(
        id=delivery.id,
        message_id=delivery.message_id,
        type=delivery.type,
        url=delivery.url,
        state=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_at,
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
        body=msgspec.Raw(delivery.body),
    )
