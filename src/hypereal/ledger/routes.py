"""The routes of the wallet and of the request log, of the control process."""

import msgspec
from starlette.requests import Request

from hypereal.kit.access import ApiRoute, Caller, Permission
from hypereal.kit.db import Database
from hypereal.kit.money import credits_json
from hypereal.ledger.request_log.bodies import Bodies
from hypereal.ledger.request_log.routes import routes as log_routes
from hypereal.ledger.wallets import balance


class Credits(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet, credits."""

    balance: msgspec.Raw
    free: msgspec.Raw
    """Of it, what no open call or job holds."""


def routes(database: Database, bodies: Bodies) -> list[ApiRoute]:
    """All of them."""

    async def show_credits(_: Request, caller: Caller) -> Credits:
        found = await balance(database, caller.owner_id)
        return Credits(balance=credits_json(found.ledger), free=credits_json(found.free))

    return [
        ApiRoute(
            method="GET",
            path="/v1/credits",
            permission=Permission.SEE_OWN_KEY,
            summary="The balance of the wallet that pays for this key.",
            endpoint=show_credits,
        ),
        *log_routes(database, bodies),
    ]
