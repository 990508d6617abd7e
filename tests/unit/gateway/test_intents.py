"""An intent comes to the cheapest healthy model that can do what is asked, always the same."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from hypereal import catalog, providers
from hypereal.gateway.faults import BROKEN
from hypereal.gateway.health import FAILURES_MAX
from hypereal.gateway.intents import choose
from hypereal.gateway.offers import Offers
from hypereal.gateway.routing import Pools, Routing
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import DIALECTS, Request

MODELS: dict[str, dict[str, Any]] = {
    "small": {"price": (1, 1), "context_tokens_max": 1000, "output_tokens_max": 100, "lacks": ["vision", "tools"]},
    "middle": {"price": (1, 2), "context_tokens_max": 10_000, "output_tokens_max": 1000},
    "middle-too": {"price": (1, 2), "context_tokens_max": 10_000, "output_tokens_max": 1000},
    "large": {"price": (9, 9), "context_tokens_max": 10**6, "output_tokens_max": 10**5},
    "claude-like": {"price": ("0.1", "0.1"), "endpoints": ["anthropic_messages"]},
}


@pytest.fixture
def offers() -> Offers:
    acme = {"dialects": ["openai_chat"], "base_url": "https://acme.example/v1", "api_key": "k"}
    known = providers.load({"acme": acme}, {}, Path("/run/local.sock"))
    tables = {
        name: {
            **table,
            "targets": [f"acme:{name}"],
            "intents": ["code"],
            "price": dict(zip(("input", "output"), map(str, table["price"]), strict=True)),
        }
        for name, table in MODELS.items()
    }
    built_in = {
        name: {"intents": []} for name in catalog.load({}, {n: frozenset(p.base_urls) for n, p in known.items()}).models
    }
    models = catalog.load({**built_in, **tables}, {name: frozenset(row.base_urls) for name, row in known.items()})
    return Offers(models, Routing(known, Pools(ssl.create_default_context())))


def asked(text: str = "hi", **members: Any) -> Request:
    body = {"intent": "code", "messages": [{"role": "user", "content": text}], **members}
    return DIALECTS[Dialect.OPENAI_CHAT].read(json.dumps(body).encode())


def chosen(offers: Offers, request: Request, allowed: set[str] | None = None) -> str:
    return choose(offers, request, None if allowed is None else frozenset(allowed)).model.id


def fail(offers: Offers, *models: str) -> None:
    for model in models:
        for way in offers.of(model, Dialect.OPENAI_CHAT).ways:
            for _ in range(FAILURES_MAX):
                way.target.breaker.failed(BROKEN)


def test_the_cheapest_is_chosen_and_of_equal_ones_the_first_by_name(offers):
    assert chosen(offers, asked()) == "small"
    assert [chosen(offers, asked(tools=[{"type": "function"}])) for _ in range(5)] == ["middle"] * 5


def test_what_cannot_take_the_length_or_do_what_is_asked_is_passed_over(offers):
    assert chosen(offers, asked(max_tokens=101)) == "middle"
    assert chosen(offers, asked("long " * 1000)) == "middle"
    assert chosen(offers, asked("long " * 10_000)) == "large"


def test_what_fails_is_passed_over_while_another_is_well(offers):
    fail(offers, "small")
    assert chosen(offers, asked()) == "middle"
    fail(offers, "middle", "middle-too", "large")
    assert chosen(offers, asked()) == "small"


def test_a_limited_key_gets_only_its_models(offers):
    assert chosen(offers, asked(), {"large", "middle-too"}) == "middle-too"
    with pytest.raises(InvalidRequest):
        chosen(offers, asked(), {"claude-like"})


def test_where_none_fits_the_caller_is_told_what_it_asked_for(offers):
    with pytest.raises(InvalidRequest, match="tools") as refused:
        chosen(offers, asked("long " * 10**6, tools=[{"type": "function"}]))
    assert (refused.value.code, refused.value.param) == ("no_model_fits", "intent")


def test_an_unknown_intent_is_told_the_known_ones(offers):
    with pytest.raises(InvalidRequest, match="There are: code"):
        chosen(offers, asked(intent="code-please"))
