"""What the capabilities of the control process are made of: one of each, shared by its routes and its jobs."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from hypereal import catalog, ledger, providers
from hypereal.accounts import routes as account_routes
from hypereal.catalog import Model
from hypereal.gateway.media import routes as media_routes
from hypereal.gateway.media.callbacks import CallbackRoutes
from hypereal.gateway.media.conductor import Conductor
from hypereal.gateway.media.desk import Desk
from hypereal.gateway.media.materials import Materials
from hypereal.gateway.media.sending import Sender
from hypereal.gateway.media.studio import Studio
from hypereal.gateway.media.ways import Ways
from hypereal.kit.access import ApiRoute, LinkRoute
from hypereal.kit.db import Database
from hypereal.kit.outbound import Outbound, read_allowed
from hypereal.kit.settings import Settings
from hypereal.ledger import routes as ledger_routes
from hypereal.limits import RateLimiter
from hypereal.storage import Storage, open_storage
from hypereal.storage.routes import StorageRoutes
from hypereal.webhooks import Webhooks
from hypereal.webhooks.routes import WebhookRoutes

NO_SOCKET = Path("/nowhere")
"""Of the local model, which makes no media."""
ONE_BY_ONE = 10**9
"""Shares of an owner's minute: so many that each request asks for itself. What is leased here, data processes lack."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The living parts of a process."""

    database: Database
    settings: Settings
    outbound: Outbound
    storage: Storage
    webhooks: Webhooks
    sender: Sender
    media: Conductor
    bodies: ledger.Bodies

    def reload(self, settings: Settings) -> None:
        """Other models and providers than before: what goes on keeps the targets that it began with."""
        studio = self.media.studio
        studio.ways = _ways(settings, self.sender, studio.materials)

    async def close(self) -> None:
        """Let go of all connections."""
        await self.sender.close()
        await self.outbound.close()
        await self.storage.bucket.close()
        await self.database.close()


def open_parts(database: Database, settings: Settings, secret: str) -> Parts:
    """All of them; nothing is connected to yet. SECRET is the installation's."""
    outbound = Outbound(read_allowed(settings.outbound.allow))
    storage = open_storage(database, settings.storage, settings.server.data_dir, secret)
    webhooks, sender = Webhooks(database, outbound, secret), Sender()
    public_url = settings.server.public_url
    ways = _ways(settings, sender, Materials(storage, outbound, public_url))
    studio = Studio(webhooks, storage, secret=secret, ways=ways, public_url=public_url)
    return Parts(
        database=database,
        settings=settings,
        outbound=outbound,
        storage=storage,
        webhooks=webhooks,
        sender=sender,
        media=Conductor(studio),
        bodies=ledger.Bodies(database, secret, settings.log),
    )


def _ways(settings: Settings, sender: Sender, materials: Materials) -> Ways:
    known = providers.load(settings.providers, os.environ, NO_SOCKET)
    dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
    return Ways(catalog.load(settings.models, dialects), known, sender, materials)


def api_routes(parts: Parts, find_model: Callable[[str], Model | None]) -> list[ApiRoute]:
    """Every route that takes a key. FIND_MODEL knows models by any of their names."""

    def model_id(name: str) -> str | None:
        model = find_model(name)
        return None if model is None else model.id

    return [
        *account_routes.routes(parts.database, partial(ledger.spent_this_month, parts.database), model_id),
        *ledger_routes.routes(parts.database, parts.bodies),
        *_storage(parts).declared(),
        *WebhookRoutes(parts.webhooks).declared(),
        *media_routes.routes(_desk(parts)),
    ]


def link_routes(parts: Parts) -> list[LinkRoute]:
    """Every route whose link is the permission."""
    return [*_storage(parts).linked(), *CallbackRoutes(parts.media.studio).linked()]


def _desk(parts: Parts) -> Desk:
    settings = parts.settings
    return Desk(
        parts.media,
        RateLimiter(parts.database, processes=ONE_BY_ONE),
        per_minute=settings.limits.submissions_per_minute,
        body_bytes_max=settings.server.body_bytes_max,
        public_url=settings.server.public_url,
    )


def _storage(parts: Parts) -> StorageRoutes:
    return StorageRoutes(parts.storage, parts.settings.server.public_url)
