"""What a name that a caller wrote comes to: a model, its price, and where it can be sent. Looked up once a call."""

from typing import Final

from hypereal.catalog import Catalog, Model, Price
from hypereal.gateway.routing import Routing, Way
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest

OFFERS_MAX: Final = 10_000
DEADLINE_S_LEAST: Final = 10.0
DEADLINE_FACTOR: Final = 3.0
"""In the longest time that one of them may be silent: a target that said nothing is tried again, and then the next."""


class Offer:
    """A model as the callers of one dialect get it."""

    __slots__ = (
        "cache_tokens_min",
        "context_tokens_max",
        "deadline_s",
        "has_choice",
        "model",
        "output_tokens_max",
        "price",
        "ways",
    )

    def __init__(self, model: Model, price: Price, ways: tuple[Way, ...]) -> None:
        self.model = model
        self.price = price
        self.ways = ways
        """In order of preference; never empty."""
        self.has_choice = len(ways) > 1 or ways[0].keys.size > 1
        """Whether a conversation could go here or there, so that it matters where it was before."""
        marks = ways[0].is_messages and ways[0].bridge is None and not ways[0].target.is_local
        self.cache_tokens_min = model.cache_tokens_min if marks else None
        """From which length on prefixes may be marked for the vendor's cache; None: never."""
        self.deadline_s = max(DEADLINE_S_LEAST, *(DEADLINE_FACTOR * way.target.provider.timeout_s for way in ways))
        """How long all its targets together may take until an answer begins."""
        self.context_tokens_max = model.context_tokens_max
        self.output_tokens_max = model.output_tokens_max


class Offers:
    """The offers of one catalog and one routing. Made anew when either changes; calls keep what they began with."""

    def __init__(self, catalog: Catalog, routing: Routing) -> None:
        self.catalog = catalog
        self._routing = routing
        self._known: dict[tuple[str, Dialect], Offer] = {}

    def of(self, name: str, dialect: Dialect) -> Offer:
        """What NAME means to a caller who speaks DIALECT.

        Raises UnknownModel with the available ones, InvalidRequest that names the right endpoint.
        """
        return self._known.get((name, dialect)) or self._find(name, dialect)

    def reachable(self, model: Model, dialect: Dialect) -> Offer | None:
        """MODEL as an offer; None where none of its targets can be asked in DIALECT, nor over a bridge."""
        try:
            return self.of(model.id, dialect)
        except InvalidRequest:
            return None

    def _find(self, name: str, dialect: Dialect) -> Offer:
        model = self.catalog.require(name, dialect)
        assert model.price is not None, "the catalog lets no other through"
        offer = Offer(model, model.price, self._routing.ways(model, dialect))
        if len(self._known) < OFFERS_MAX:
            self._known[name, dialect] = offer
        return offer
