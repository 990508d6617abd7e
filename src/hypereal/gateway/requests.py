"""What a caller asks for: an offer of ours, and whether its key may ask for that, and from there."""

from typing import Final

from hypereal.accounts import Principal, permit_address
from hypereal.catalog import Model
from hypereal.gateway.call import Call
from hypereal.gateway.cold import client_address
from hypereal.gateway.intents import choose
from hypereal.gateway.offers import Offer, Offers
from hypereal.kit.errors import PermissionDenied
from hypereal.wire import Request

INFERENCE: Final = "inference"


def find_offer(request: Request, principal: Principal, offers: Offers) -> Offer:
    """What the caller asked for: the model that it named, else the cheapest one that fits its intent.

    Raises UnknownModel with the available ones, InvalidRequest that names the right endpoint, PermissionDenied.
    """
    offer = offers.of(request.model, request.dialect) if request.model else choose(offers, request, principal.models)
    if principal.models is not None or INFERENCE not in principal.scopes:
        permit(principal, offer.model)
    return offer


def permit_origin(call: Call, principal: Principal, trusted_proxies: frozenset[str]) -> None:
    """Raises PermissionDenied where the key is bound to other addresses than the client's."""
    peer = call.connection.transport.get_extra_info("peername")
    address = client_address(peer[0] if peer else "", call.head.get(b"x-forwarded-for"), trusted_proxies)
    permit_address(principal, address.decode("latin-1"))


def permit(principal: Principal, model: Model) -> None:
    """Raises PermissionDenied where the key is limited to other models."""
    if INFERENCE not in principal.scopes:
        raise PermissionDenied("This key may not call models: its scope is not 'inference'.")
    if principal.models is not None and model.id not in principal.models:
        allowed = ", ".join(sorted(principal.models))
        raise PermissionDenied(f"This key may not call '{model.id}'. It is limited to: {allowed}.")
