"""What the capabilities of the control process are made of: one of each, shared by its routes and its jobs."""

from collections.abc import Callable
from functools import partial

import msgspec

from hypereal import ledger
from hypereal.accounts import routes as account_routes
from hypereal.catalog import Model
from hypereal.kit.access import ApiRoute, LinkRoute
from hypereal.kit.db import Database
from hypereal.kit.outbound import Outbound, read_allowed
from hypereal.kit.settings import Settings
from hypereal.ledger import routes as ledger_routes
from hypereal.storage import Storage, open_storage
from hypereal.storage.routes import StorageRoutes
from hypereal.webhooks import Webhooks
from hypereal.webhooks.routes import WebhookRoutes


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The living parts of a process."""

    database: Database
    settings: Settings
    outbound: Outbound
    storage: Storage
    webhooks: Webhooks
    bodies: ledger.Bodies

    async def close(self) -> None:
        """Let go of all connections."""
        await self.outbound.close()
        await self.storage.bucket.close()
        await self.database.close()


def open_parts(database: Database, settings: Settings, secret: str) -> Parts:
    """All of them; nothing is connected to yet. SECRET is the installation's."""
    outbound = Outbound(read_allowed(settings.outbound.allow))
    return Parts(
        database=database,
        settings=settings,
        outbound=outbound,
        storage=open_storage(database, settings.storage, settings.server.data_dir, secret),
        webhooks=Webhooks(database, outbound, secret),
        bodies=ledger.Bodies(database, secret, settings.log),
    )


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
    ]


def link_routes(parts: Parts) -> list[LinkRoute]:
    """Every route whose link is the permission."""
    return _storage(parts).linked()


def _storage(parts: Parts) -> StorageRoutes:
    return StorageRoutes(parts.storage, parts.settings.server.public_url)
