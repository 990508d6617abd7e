"""The answers of GET /models and /models/{id}, in the shape that the caller's client reads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.kit.money import Rate, credits
from hypereal.wire.members import encode

PAGE_MAX = 1000
PAGE_DEFAULT = 20
"""Anthropic's own page sizes; the other shapes list all at once."""


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a list says about one model."""

    id: str
    kind: str
    owned_by: str
    created_unix_s: int
    endpoints: Sequence[str]
    """Names of the dialects, sorted."""
    context_tokens_max: int
    output_tokens_max: int
    price: Mapping[str, Rate] | None = None
    """By what is priced: input, output, cache_read, ..."""
    intents: Sequence[str] = ()
    unit: str | None = None
    """What a price of media counts: 'image', 'second', ..."""
    tiers: Mapping[str, int] | None = None
    """Micro-credits per unit, by tier."""


def openai_list(models: Sequence[ModelFacts]) -> bytes:
    """`{object: "list", data}`, with our own extra members."""
    return encode({"object": "list", "data": [_openai(model) for model in models]})


def openai_model(model: ModelFacts) -> bytes:
    """One entry of that list."""
    return encode(_openai(model))


def anthropic_list(models: Sequence[ModelFacts], query: Mapping[str, str]) -> bytes:
    """Anthropic's list: a page of QUERY's `limit`, `after_id`, `before_id`. Raises InvalidRequest for a bad one."""
    limit = _limit(query.get("limit"))
    ids = [model.id for model in models]
    start, end = 0, len(models)
    if (after := query.get("after_id")) is not None:
        start = _position(ids, after, "after_id") + 1
        end = min(end, start + limit)
    elif (before := query.get("before_id")) is not None:
        end = _position(ids, before, "before_id")
        start = max(0, end - limit)
    else:
        end = min(end, limit)
    page = models[start:end]
    return encode(
        {
            "data": [_anthropic(model) for model in page],
            "has_more": start > 0 if "before_id" in query and "after_id" not in query else end < len(models),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def anthropic_model(model: ModelFacts) -> bytes:
    """One entry of that list."""
    return encode(_anthropic(model))


def gemini_list(models: Sequence[ModelFacts]) -> bytes:
    """Google's list, all on one page."""
    return encode({"models": [_gemini(model) for model in models]})


def gemini_model(model: ModelFacts) -> bytes:
    """One entry of that list."""
    return encode(_gemini(model))


def _openai(model: ModelFacts) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_unix_s,
        "owned_by": model.owned_by,
        "kind": model.kind,
        "endpoints": list(model.endpoints),
        "context_length": model.context_tokens_max,
        "max_output_tokens": model.output_tokens_max,
        "price": _price(model),
        "intents": list(model.intents),
    }


def _price(model: ModelFacts) -> dict[str, Any] | None:
    """Credits per million tokens, or per unit by tier, as exact decimal numbers."""
    if model.tiers is not None:
        tiers = {name: msgspec.Raw(credits(amount).encode()) for name, amount in model.tiers.items()}
        return {"unit": f"credits_per_{model.unit}", "tiers": tiers}
    if model.price is None:
        return None
    rates = {name: msgspec.Raw(credits(rate).encode()) for name, rate in model.price.items()}
    return {"unit": "credits_per_million_tokens", **rates}


def _anthropic(model: ModelFacts) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": datetime.fromtimestamp(model.created_unix_s, UTC).isoformat().replace("+00:00", "Z"),
        "max_input_tokens": model.context_tokens_max,
        "max_tokens": model.output_tokens_max,
        "kind": model.kind,
        "price": _price(model),
        "intents": list(model.intents),
        "context_length": model.context_tokens_max,
    }


def _gemini(model: ModelFacts) -> dict[str, Any]:
    serves = Dialect.GEMINI in model.endpoints
    return {
        "name": f"models/{model.id}",
        "displayName": model.id,
        "inputTokenLimit": model.context_tokens_max,
        "outputTokenLimit": model.output_tokens_max,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"] if serves else [],
    }


def _limit(given: str | None) -> int:
    if given is None:
        return PAGE_DEFAULT
    if not (given.isascii() and given.isdigit() and len(given) <= 6 and int(given) >= 1):
        raise InvalidRequest("'limit' must be a whole number of 1 or more.", param="limit")
    return min(int(given), PAGE_MAX)


def _position(ids: list[str], wanted: str, param: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise InvalidRequest(f"'{param}' names no model of this list.", param=param) from None
