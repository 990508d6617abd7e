"""`intent` in place of a model: the cheapest healthy one of its bucket that can do what the request asks.

Deterministic: the same request, catalog and health give the same model. Price counts 3 parts input and 1 part output.
"""

from hypereal.catalog import Model
from hypereal.gateway.offers import Offer, Offers
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import DIALECTS, Request, needs_of


def choose(offers: Offers, request: Request, allowed: frozenset[str] | None) -> Offer:
    """The offer that REQUEST's intent comes to. ALLOWED are the only models of its key, None: all.

    Where none of the fitting models is healthy, the cheapest of them is tried all the same. Raises InvalidRequest that
    says what is wrong: the intent, or what no model of it can do.
    """
    intent = request.own.intent or ""
    candidates = offers.catalog.for_intent(intent, request.dialect)
    if not candidates:
        known = ", ".join(offers.catalog.intents_of(request.dialect))
        raise InvalidRequest(f"Unknown intent '{intent[:100]}' here. There are: {known}.", param="intent")
    fitting = [model for model in candidates if allowed is None or model.id in allowed]
    fitting = [model for model in fitting if _fits(model, request)]
    reachable = [offer for model in fitting if (offer := offers.reachable(model, request.dialect)) is not None]
    for offer in reachable:
        if any(way.target.breaker.lets_through for way in offer.ways):
            return offer
    if reachable:
        return reachable[0]
    needs = ", ".join(sorted(needs_of(request)))
    raise InvalidRequest(
        f"No model of intent '{intent}' takes this request{f', which needs {needs},' if needs else ''} with its length "
        "of input and output. Name a model, or ask for less.",
        code="no_model_fits",
        param="intent",
    )


def _fits(model: Model, request: Request) -> bool:
    outputs = request.output_tokens_max or 0
    inputs = DIALECTS[request.dialect].estimate_input(request)
    return (
        not model.lacks & needs_of(request)
        and outputs <= model.output_tokens_max
        and inputs + outputs <= model.context_tokens_max
    )
