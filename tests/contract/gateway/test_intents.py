"""`intent` in place of `model`, on every LLM endpoint, through a running server."""

from decimal import Decimal

import pytest
from tests.contract.gateway.test_bad_input import assert_refused
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

PATHS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"input": "hi"},
    "/v1/gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
}
DIALECTS = dict(zip(PATHS, ("openai_chat", "anthropic_messages", "openai_responses", "gemini"), strict=True))


def cheapest(server: Server, caller: Caller, intent: str, path: str) -> str:
    """By the list of models, as a caller can see it."""
    models = server.call("/v1/models", key=caller.secret, method="GET").json["data"]
    fit = [model for model in models if intent in model["intents"] and DIALECTS[path] in model["endpoints"]]
    costs = [3 * Decimal(str(m["price"]["input"])) + Decimal(str(m["price"]["output"])) for m in fit]
    return min(zip(costs, (m["id"] for m in fit), strict=True))[1]


@pytest.mark.parametrize("intent", ["chat-fast", "chat-smart", "code"])
@pytest.mark.parametrize("path", PATHS)
def test_the_cheapest_model_of_the_intent_answers(
    path: str, intent: str, server: Server, upstream: Upstream, caller: Caller
):
    answer = server.call(path, {"intent": intent, **PATHS[path]}, caller.secret)
    assert answer.status == 200
    assert answer.get("x-hypereal-model") == cheapest(server, caller, intent, path)
    assert b"intent" not in upstream.request().body
    row = server.usage(answer.request_id)
    assert row["model"] == answer.get("x-hypereal-model")
    assert row["charged"] > 0


def test_a_model_wins_over_an_intent(server: Server, upstream: Upstream, caller: Caller):
    body = {"model": "gpt-5.4", "intent": "chat-fast", **PATHS["/v1/chat/completions"]}
    assert server.call("/v1/chat/completions", body, caller.secret).get("x-hypereal-model") == "gpt-5.4"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("intent", ["text-to-image-fast", "nonsense", "", 5])
def test_another_intent_is_refused_with_the_ones_there_are(path: str, intent: object, server: Server, caller: Caller):
    answer = server.call(path, {"intent": intent, **PATHS[path]}, caller.secret)
    assert_refused(answer, path)
    if isinstance(intent, str) and intent:
        assert "chat-fast" in answer.error["message"]
