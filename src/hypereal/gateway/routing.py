"""Where a call may go: the targets of a model that can answer in a dialect, natively or over a bridge.

Built from catalog and providers at the start and whenever they change; calls in progress keep what they began with.
"""

import ssl
from collections.abc import Mapping

from hypereal.catalog import ROUTES, Model, TargetSpec
from hypereal.gateway.access_tokens import AccessToken
from hypereal.gateway.health import Breaker, KeyRing
from hypereal.gateway.metrics import Meter
from hypereal.gateway.seals import Seal
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.ledger import Stem
from hypereal.net import Address, Pool
from hypereal.providers import LOCAL, Provider, ServiceAccount, UpstreamRequest, request_for
from hypereal.wire import BRIDGES, DIALECTS, PROFILES, Bridge


class Target:
    """One model at one provider, and how it fares."""

    __slots__ = (
        "breaker",
        "cost",
        "dialects",
        "is_local",
        "labels",
        "meter",
        "model",
        "name",
        "provider",
        "weight",
    )

    def __init__(self, provider: Provider, spec: TargetSpec, catalog_id: str) -> None:
        self.provider = provider
        self.model = spec.model
        self.weight = spec.weight
        self.cost = spec.cost
        self.name = f"{provider.name}:{spec.model}"
        self.dialects = frozenset(provider.base_urls) & (spec.dialects or frozenset(Dialect))
        self.is_local = provider.name == LOCAL
        self.meter: Meter | None = None
        """What went through it; set by the first call."""
        self.labels = f"x-hypereal-model: {catalog_id}\r\nx-hypereal-provider: {provider.name}\r\n"
        self.breaker = Breaker()


class Way:
    """A target in the dialect that it is spoken to in. BRIDGE translates where that is not the caller's."""

    __slots__ = (
        "_lines",
        "bridge",
        "dialect",
        "is_messages",
        "keys",
        "pools",
        "profile",
        "says_nothing",
        "seal",
        "stem",
        "target",
        "timeout_s",
        "wire",
    )

    def __init__(
        self, target: Target, dialect: Dialect, bridge: Bridge | None, *, pools: "Pools", keys: KeyRing
    ) -> None:
        self.target = target
        self.keys = keys
        """Of the provider; shared by all its targets."""
        self.dialect = dialect
        self.is_messages = dialect is Dialect.ANTHROPIC_MESSAGES
        self.wire = DIALECTS[dialect]
        self.says_nothing = self.wire.says_nothing
        self.timeout_s = target.provider.timeout_s
        self.bridge = bridge
        self.profile = PROFILES[target.provider.usage]
        self.pools = pools
        self.seal: Seal | None = None
        """Where the provider takes requests only in a way of its own."""
        self.stem = Stem()
        """What the log says of a call along it; of its price."""
        self._lines: dict[tuple[bool, bool, int], tuple[Pool, bytes]] = {}

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens can be counted along it."""
        return self.bridge is None and (self.seal is None or self.seal.can_count)

    def line(self, stream: bool, counts_tokens: bool, key_number: int) -> tuple[Pool, bytes]:
        """The pool, and the request's head, signed with that key, up to the digits of its content-length."""
        line = self._lines.get((stream, counts_tokens, key_number))
        if line is None:
            target = self.target
            request = request_for(
                target.provider,
                self.dialect,
                target.model,
                stream=stream,
                count_tokens=counts_tokens,
                key_number=key_number,
            )
            line = self._lines[stream, counts_tokens, key_number] = (self.pools.of(request), _head(request))
        return line


class Pools:
    """One pool an address, for as long as the process lives."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._pools: dict[Address, Pool] = {}

    def of(self, request: UpstreamRequest) -> Pool:
        """The pool of REQUEST's address."""
        address = Address(host=request.host, port=request.port, uses_tls=request.is_tls, path=request.unix_path or "")
        return self.at(address)

    def at(self, address: Address) -> Pool:
        """The pool of ADDRESS."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = Pool(address, self._tls if address.uses_tls else None)
        return pool

    def sweep(self) -> None:
        """Once a second."""
        for pool in self._pools.values():
            pool.sweep()

    def close(self) -> None:
        """Close every idle connection."""
        for pool in self._pools.values():
            pool.close()


class Routing:
    """The ways of every model."""

    def __init__(self, providers: Mapping[str, Provider], pools: Pools) -> None:
        self._providers = providers
        self._pools = pools
        self._targets: dict[str, tuple[Target, ...]] = {}
        self._keys: dict[str, KeyRing] = {}
        self._tokens: dict[str, AccessToken] = {}
        self._ways: dict[tuple[str, Dialect], tuple[Way, ...]] = {}

    def ways(self, model: Model, dialect: Dialect) -> tuple[Way, ...]:
        """How MODEL can be reached for a caller who speaks DIALECT, in order of preference; never empty.

        Raises InvalidRequest that names an endpoint where it can be reached.
        """
        ways = self._ways.get((model.id, dialect))
        if ways is None:
            ways = self._ways[model.id, dialect] = self._find(model, dialect)
        if not ways:
            raise InvalidRequest(
                f"Model '{model.id}' is not reachable through {ROUTES[dialect]} here: none of its targets speaks that "
                f"format yet. Use {self._elsewhere(model)}.",
                code="wrong_endpoint",
                param="model",
            )
        return ways

    def targets(self) -> list[Target]:
        """Every target that was used so far."""
        return [target for targets in self._targets.values() for target in targets]

    def _find(self, model: Model, dialect: Dialect) -> tuple[Way, ...]:
        native, bridged = [], []
        for target in self._targets_of(model):
            if dialect in target.dialects:
                native.append(self._way(target, dialect, None))
                continue
            for other in Dialect:
                bridge = BRIDGES.get((dialect, other))
                if bridge is not None and other in target.dialects:
                    if "output_tokens_max" in model.sources:  # else it is only a guess
                        bridge = bridge.within(model.output_tokens_max)
                    bridged.append(self._way(target, other, bridge))
                    break
        return (*native, *bridged)

    def _way(self, target: Target, dialect: Dialect, bridge: Bridge | None) -> Way:
        provider = target.provider
        keys = self._keys.get(provider.name)
        if keys is None:
            keys = self._keys[provider.name] = KeyRing(max(1, len(provider.api_keys)))
        way = Way(target, dialect, bridge, pools=self._pools, keys=keys)
        if provider.envelope is not None or provider.credentials is not None:
            way.seal = Seal(way, self._token_of(provider))
        return way

    def _token_of(self, provider: Provider) -> AccessToken | None:
        """The one that all ways of PROVIDER share; None where it wants none."""
        account = provider.credentials
        if not isinstance(account, ServiceAccount):
            return None
        token = self._tokens.get(provider.name)
        if token is None:
            token = self._tokens[provider.name] = AccessToken(account, self._pools)
        return token

    def _targets_of(self, model: Model) -> tuple[Target, ...]:
        """The targets with a credential; where there is none at all, the local model stands in for every model."""
        targets = self._targets.get(model.id)
        if targets is None:
            usable = [spec for spec in model.targets if self._is_usable(spec)]
            chain = usable or [TargetSpec(provider=LOCAL, model=model.id)]
            targets = tuple(Target(self._providers[spec.provider], spec, model.id) for spec in chain)
            self._targets[model.id] = targets
        return targets

    def _is_usable(self, spec: TargetSpec) -> bool:
        provider = self._providers.get(spec.provider)
        return provider is not None and provider.is_usable

    def _elsewhere(self, model: Model) -> str:
        reachable = [ROUTES[other] for other in Dialect if other in model.endpoints and self._find(model, other)]
        return " or ".join(f"POST {route}" for route in reachable) or "another model"


def _head(request: UpstreamRequest) -> bytes:
    lines = [b"POST %s HTTP/1.1" % request.target, b"host: " + request.authority]
    lines += [b"%s: %s" % (name, value) for name, value in request.headers]
    lines += [b"content-type: application/json", b"accept-encoding: identity", b"content-length: "]
    return b"\r\n".join(lines)
