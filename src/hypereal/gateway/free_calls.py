"""The hot routes that cost nothing and need only a valid key: the list of models, and the counting of tokens."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from hypereal.catalog import Model
from hypereal.gateway.answers import JSON, head
from hypereal.gateway.attempts import open_answer
from hypereal.gateway.bill import Bill
from hypereal.gateway.call import Call
from hypereal.gateway.facts import Action
from hypereal.gateway.requests import find_offer
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import NotFound, Overloaded, UpstreamFailed, UpstreamTimeout
from hypereal.wire import (
    DIALECTS,
    ModelFacts,
    anthropic_list,
    anthropic_model,
    gemini_list,
    gemini_model,
    openai_list,
    openai_model,
)

if TYPE_CHECKING:
    from hypereal.gateway.plane import Plane

QUERY_FIELDS_MAX = 20


async def answer_free(call: Call, bill: Bill, plane: "Plane") -> None:
    """The steps of the routes that cost nothing."""
    route = call.facts.route
    assert route is not None
    if route.action is Action.COUNT_TOKENS:
        body, labels = await _count_tokens(call, bill, plane)
    else:
        body, labels = _models(call, plane), ""
    bill.status = 200
    call.connection.transport.write(head(call, 200, JSON, len(body), quota=bill.quota, extra=labels) + body)


async def _count_tokens(call: Call, bill: Bill, plane: "Plane") -> tuple[bytes, str]:
    """The upstream's count, else our own estimate where no target of the model can count in the caller's dialect."""
    if not call.connection.read_body():
        await call.wait()
    request = bill.request = call.facts.read(call.connection.body)
    offer = find_offer(request, bill.payer, plane.offers)
    bill.model = offer.model
    call.deadline_s = call.began_s + offer.deadline_s
    ways = tuple(way for way in offer.ways if way.counts_tokens)
    if ways:
        try:
            way = await open_answer(call, bill, ways, counts_tokens=True)
        except (UpstreamFailed, Overloaded, UpstreamTimeout):
            pass  # a relay may well speak the format without this route
        else:
            assert call.upstream is not None
            return call.upstream.whole(), way.target.labels
    count = DIALECTS[request.dialect].estimate_input(request)
    name = "totalTokens" if request.dialect is Dialect.GEMINI else "input_tokens"
    return msgspec.json.encode({name: count}), ""


def _models(call: Call, plane: "Plane") -> bytes:
    """The models that can be called here, in the shape of the caller's client. Raises NotFound, InvalidRequest."""
    route = call.facts.route
    assert route is not None
    if route.action is Action.SHOW_MODEL:
        model = plane.catalog.find(route.model or "")
        if model is None:
            raise NotFound(f"No model '{(route.model or '')[:100]}'. See GET /v1/models.", param="model")
        return _SHAPES[route.dialect][1](_facts(model))
    models = [_facts(model) for _, model in sorted(plane.catalog.models.items())]
    if route.dialect is Dialect.ANTHROPIC_MESSAGES:
        fields = parse_qsl(call.head.query.decode("latin-1"), max_num_fields=QUERY_FIELDS_MAX)
        return anthropic_list(models, dict(fields))
    if route.dialect is Dialect.GEMINI:
        models = [model for model in models if Dialect.GEMINI in model.endpoints]
    return _SHAPES[route.dialect][0](models)


_SHAPES = {
    Dialect.OPENAI_CHAT: (openai_list, openai_model),
    Dialect.OPENAI_RESPONSES: (openai_list, openai_model),
    Dialect.ANTHROPIC_MESSAGES: (openai_list, anthropic_model),
    Dialect.GEMINI: (gemini_list, gemini_model),
}
CREATED_UNIX_S = 1_767_225_600
"""2026-01-01: the catalog does not know when a vendor made a model, and clients want a number."""


def _facts(model: Model) -> ModelFacts:
    price = model.price
    return ModelFacts(
        id=model.id,
        kind=model.kind,
        owned_by=model.family,
        created_unix_s=CREATED_UNIX_S,
        endpoints=sorted(model.endpoints),
        context_tokens_max=model.context_tokens_max,
        output_tokens_max=model.output_tokens_max,
        price=None
        if price is None
        else {
            "input": price.input,
            "output": price.output,
            "cache_read": price.cache_read,
            "cache_write": price.cache_write,
        },
        intents=model.intents,
        unit=None if model.media_price is None else model.media_price.per.value,
        tiers=None if model.media_price is None else model.media_price.tiers,
    )
