"""Finding a model by the name a caller wrote: its id, an alias, a dated id, or a newer id of a known family."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hypereal.catalog.model import Kind, Model
from hypereal.catalog.price import Price, Rates
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, UnknownModel

REMEMBERED_NAMES_MAX = 4096
NAME_CHARS_MAX = 128
SET_HERE = "database"
"""The source of a price that was set by a command or in the console."""
INPUT_PARTS = 3
"""Of input to one of output: what an intent's models are compared by."""

ROUTES: Mapping[Dialect, str] = {
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
    Dialect.ANTHROPIC_MESSAGES: "/v1/messages",
    Dialect.GEMINI: "/v1/gemini",
}

_KIND_ROUTES: Mapping[Kind, str] = {
    Kind.IMAGE: "/v1/images/generations",
    Kind.VIDEO: "/v1/videos/generate",
    Kind.AUDIO: "/v1/audio/generations",
    Kind.GPU: "/v1/gpu/{model}",
    Kind.REALTIME: "/v1/realtime, over WebSocket",
}

_DATE = re.compile(r"(?:[-@]20\d\d-?\d\d-?\d\d|-\d\d-(?:20)?\d\d|-latest)$")
"""Ends of dated ids: OpenAI's -2026-04-21, Anthropic's -20251001, Vertex's @20251001, Gemini's -09-2025 and -05-06."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Names that PATTERN matches whole mean MODEL, the newest of that line."""

    pattern: re.Pattern[str]
    model: Model


class Catalog:
    """Every model, found by any of its names. Made whole by `load`; replaced, not changed, when settings change."""

    def __init__(self, models: Mapping[str, Model], prefixes: Sequence[str], families: Sequence[Family]) -> None:
        self.models = models
        self._prefixes = tuple(prefixes)
        self._families = tuple(families)
        self._by_name: dict[str, Model] = dict(models)
        for model in models.values():
            self._by_name.update(dict.fromkeys(model.aliases, model))
        self._remembered_max = len(self._by_name) + REMEMBERED_NAMES_MAX
        self._by_intent = _by_intent(models.values())
        self._ids = {
            endpoint: sorted(m.id for m in models.values() if endpoint in m.endpoints and m.price is not None)
            for endpoint in Dialect
        }

    def repriced(self, prices: Mapping[str, Price]) -> "Catalog":
        """This catalog with PRICES, by model, in the place of those of the files."""
        if not prices:
            return self
        models = {name: _repriced(model, prices.get(name)) for name, model in self.models.items()}
        families = [Family(pattern=family.pattern, model=models[family.model.id]) for family in self._families]
        return Catalog(models, self._prefixes, families)

    def find(self, name: str) -> Model | None:
        """The model that NAME means, or None."""
        return self._by_name.get(name) or self._resolve(name)

    def require(self, name: str, endpoint: Dialect) -> Model:
        """The model that NAME means, which may be called on ENDPOINT and has a price.

        Raises UnknownModel, or InvalidRequest that names the right endpoint or says that the price is missing.
        """
        model = self._by_name.get(name) or self._resolve(name)
        if model is None:
            raise UnknownModel(name, self._ids[endpoint])
        if endpoint not in model.endpoints:
            raise _wrong_endpoint(model, endpoint)
        if model.price is None:
            raise InvalidRequest(
                f"Model '{model.id}' has no price, so it cannot be called. The operator sets one in the catalog.",
                code="model_not_priced",
                param="model",
            )
        return model

    def ids_for(self, endpoint: Dialect) -> list[str]:
        """The ids that can be called on ENDPOINT, sorted."""
        return list(self._ids[endpoint])

    def for_intent(self, intent: str, endpoint: Dialect) -> tuple[Model, ...]:
        """The models of INTENT that can be called on ENDPOINT, the cheapest first; of equal price by their ids."""
        return self._by_intent.get((intent, endpoint), ())

    def intents_of(self, endpoint: Dialect) -> list[str]:
        """The intents that have a model on ENDPOINT, sorted."""
        return sorted(intent for intent, dialect in self._by_intent if dialect == endpoint)

    def _resolve(self, name: str) -> Model | None:
        if len(name) > NAME_CHARS_MAX:
            return None
        bare = name
        for prefix in self._prefixes:
            bare = bare.removeprefix(prefix)
        undated = _DATE.sub("", bare)
        model = self._by_name.get(bare) or self._by_name.get(undated) or self._newest_of_family(undated)
        if model is not None and len(self._by_name) < self._remembered_max:
            self._by_name[name] = model
        return model

    def _newest_of_family(self, name: str) -> Model | None:
        return next((family.model for family in self._families if family.pattern.fullmatch(name)), None)


def _repriced(model: Model, price: Price | None) -> Model:
    if price is None or model.media_price is not None:
        return model
    keys = ["price", *(f"price.{name}" for name in (*Rates.__struct_fields__, "web_search", "long_context"))]
    return msgspec.structs.replace(
        model,
        price=price,
        assumed=model.assumed.difference(keys),
        sources={**model.sources, **dict.fromkeys(keys, SET_HERE)},
    )


def _wrong_endpoint(model: Model, endpoint: Dialect) -> InvalidRequest:
    if model.kind is Kind.CHAT:
        routes = " or ".join(f"POST {ROUTES[dialect]}" for dialect in Dialect if dialect in model.endpoints)
    else:
        routes = _KIND_ROUTES[model.kind].format(model=model.id)
    return InvalidRequest(
        f"Model '{model.id}' is not served on {ROUTES[endpoint]}. It is a model of kind {model.kind}: use {routes}.",
        code="wrong_endpoint",
        param="model",
    )


def _by_intent(models: Iterable[Model]) -> Mapping[tuple[str, Dialect], tuple[Model, ...]]:
    found: dict[tuple[str, Dialect], list[tuple[int, str, Model]]] = {}
    for model in models:
        if model.price is not None:
            cost = INPUT_PARTS * model.price.input + model.price.output
            for intent in model.intents:
                for endpoint in model.endpoints:
                    found.setdefault((intent, endpoint), []).append((cost, model.id, model))
    return {key: tuple(model for _, _, model in sorted(rows, key=lambda row: row[:2])) for key, rows in found.items()}
