"""What calls over a bridge cost: priced by what the upstream counted, as natively, whatever the caller's format."""

from typing import Any

import pytest
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import Server
from tests.support.upstream import Upstream

MICRO = 1_000_000
BODIES = [
    pytest.param("/v1/messages", {"max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]}, id="messages"),
    pytest.param("/v1/responses", {"input": "hi"}, id="responses"),
    pytest.param("/v1/gemini", {"contents": [{"parts": [{"text": "hi"}]}]}, id="gemini"),
]
bodies = pytest.mark.parametrize(("path", "body"), BODIES)
plain_and_stream = pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])

CACHED = {"prompt_tokens": 1000, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 400}}
REASONING = {
    "prompt_tokens": 1000,
    "completion_tokens": 150,
    "total_tokens": 1200,
    "completion_tokens_details": {"reasoning_tokens": 50},
}
"""As xAI says it: reasoning stands beside the output."""
SEARCHED = {**REASONING, "server_side_tool_usage_details": {"web_search_calls": 3}}


def row_of(server: Server, upstream: Upstream, call: tuple[str, Any, bool], usage: dict[str, Any]) -> Any:
    """The usage row of a CALL (path, body, whether it streams) whose upstream says USAGE; ledger and reply agree."""
    payer = server.caller(1000)
    path, body, is_stream = call
    said = vendors.chat_events(usage=usage) if is_stream else vendors.chat_answer(usage=usage)
    script = scripts.stream(said) if is_stream else scripts.plain(said)
    upstream.answer("up-chat-only", script)
    answer = server.call(path, {"model": "chat-only", "stream": is_stream, **body}, payer.secret)
    assert answer.status == 200
    row = server.usage(answer.request_id)
    assert not row["is_estimated"]
    if not is_stream:
        assert round(float(answer.get("x-hypereal-cost-credits")) * MICRO) == row["charged"]
    server.is_idle(payer)
    assert server.balance(payer).ledger == 1000 * MICRO - row["charged"]
    return row


@bodies
@plain_and_stream
def test_cached_tokens_are_cheaper(is_stream: bool, path: str, body: Any, server: Server, upstream: Upstream):
    row = row_of(server, upstream, (path, body, is_stream), CACHED)
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (600, 400, 200)
    assert row["charged"] == 264_000  # $1, $0.10 and $10 a million


@bodies
@plain_and_stream
def test_reasoning_tokens_are_output(is_stream: bool, path: str, body: Any, server: Server, upstream: Upstream):
    row = row_of(server, upstream, (path, body, is_stream), REASONING)
    assert (row["input_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (1000, 200, 50)
    assert row["charged"] == 300_000  # $1 and $10 a million


@bodies
@plain_and_stream
def test_web_searches_are_priced(is_stream: bool, path: str, body: Any, server: Server, upstream: Upstream):
    row = row_of(server, upstream, (path, body, is_stream), SEARCHED)
    assert row["web_searches"] == 3
    assert row["charged"] == 300_000 + 3 * MICRO
