"""Hypereal Cache through a running server, before an upstream that keeps Anthropic's cache rules."""

import json
from typing import Any

import pytest
from tests.support.anthropic_cache import AnthropicCache
from tests.support.raw import Answer
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Upstream

MESSAGES = "/v1/messages"
MODEL = "claude-sonnet-4-6"
LONG = "A sentence that a cache would keep, among many. " * 300
"""Over the least length that the model caches."""


@pytest.fixture
def cache(upstream: Upstream) -> AnthropicCache:
    made = AnthropicCache(tokens_min=2048)
    upstream.answer_all(made.answers(lambda: 0.0))
    return made


@pytest.fixture
def caller(server: Server) -> Caller:
    """One of its own: what a key sent before decides what is marked."""
    return server.caller()


def turns(count: int, **members: Any) -> dict[str, Any]:
    """A conversation after COUNT questions."""
    messages: list[dict[str, Any]] = []
    for number in range(count):
        messages += [{"role": "user", "content": f"Question {number}. {LONG}"}]
        messages += [{"role": "assistant", "content": f"Answer {number}."}] if number + 1 < count else []
    tools = [{"name": "read", "description": LONG, "input_schema": {"type": "object"}}]
    return {"model": MODEL, "max_tokens": 50, "system": MARK + LONG, "tools": tools, "messages": messages} | members


def ask(server: Server, caller: Caller, body: dict[str, Any]) -> Answer:
    answer = server.call(MESSAGES, body, caller.secret)
    assert answer.status == 200, answer
    return answer


def is_marked(upstream: Upstream, number: int) -> bool:
    return b"cache_control" in upstream.request(number).body


def test_a_conversation_is_written_once_and_read_from_then_on(
    server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache
):
    answers = [ask(server, caller, turns(count)) for count in range(1, 6)]
    usage = [answer.json["usage"] for answer in answers]
    assert usage[0]["cache_creation_input_tokens"] == 0, "nothing is known to come again yet"
    assert all(one["cache_read_input_tokens"] > 5000 for one in usage[2:])
    last = answers[-1]
    report = last.json["hypereal"]["cache"]
    assert report["read_tokens"] == usage[-1]["cache_read_input_tokens"]
    assert report["written_tokens"] == usage[-1]["cache_creation_input_tokens"]
    assert report["saved_credits"] > 0
    assert last.get("x-hypereal-cache-read-tokens") == str(report["read_tokens"])
    assert float(last.get("x-hypereal-cache-saved-credits") or 0) == report["saved_credits"]
    row = server.usage(last.request_id)
    assert row["cache_saved"] == round(report["saved_credits"] * 1_000_000)
    assert row["cache_read_tokens"] == report["read_tokens"]


def test_what_is_not_a_mark_goes_upstream_as_it_came(
    server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache
):
    bodies = [turns(count, unknown={"n": 1.0}) for count in range(1, 4)]
    for body in bodies:
        ask(server, caller, body)
    assert is_marked(upstream, 2)
    sent = upstream.request(2).body
    assert sent.count(b"cache_control") <= 4
    assert b'"unknown":{"n": 1.0}' in sent
    assert unmarked(json.loads(sent)) == unmarked(bodies[2])


def unmarked(value: Any) -> Any:
    """Without marks, and with every text as a list of one block."""
    if isinstance(value, list):
        return [unmarked(one) for one in value]
    if isinstance(value, dict):
        kept = {name: unmarked(one) for name, one in value.items() if name != "cache_control"}
        for name in ("content", "system"):
            if isinstance(kept.get(name), str):
                kept[name] = [{"type": "text", "text": kept[name]}]
        return kept
    return value


def test_a_stream_tells_it_in_its_last_delta(server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache):
    for count in (1, 2):
        ask(server, caller, turns(count))
    answer = ask(server, caller, turns(3, stream=True))
    deltas = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if '"message_delta"' in line]
    assert len(deltas) == 1
    assert deltas[0]["hypereal"]["cache"]["read_tokens"] > 5000
    assert deltas[0]["usage"]["output_tokens"] == 200
    assert server.usage(answer.request_id)["cache_saved"] > 0


def test_the_callers_own_marks_stay_alone(server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache):
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for number, count in enumerate(range(1, 4)):
        body = turns(count, system=system)
        answer = ask(server, caller, body)
        assert json.loads(upstream.request(number).body) == body
    assert answer.json["hypereal"]["cache"]["read_tokens"] > 0, "what its own marks brought is told all the same"
    first = server.rows_of(caller, 3)[0]
    assert first["cache_write_1h_tokens"] > 0
    assert first["cache_saved"] < 0


@pytest.mark.parametrize("own", [{"cache": False}, {"cache": False, "more": 1}])
def test_it_can_be_turned_off_for_a_call(
    own: dict[str, Any], server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache
):
    for number, count in enumerate(range(1, 4)):
        answer = ask(server, caller, turns(count, hypereal=own))
        assert json.loads(upstream.request(number).body) == turns(count)
        assert "hypereal" not in answer.json


def test_short_calls_and_other_formats_are_left_alone(
    server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache
):
    for number in range(3):
        ask(server, caller, {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
        assert not is_marked(upstream, number)


def test_a_prompt_that_each_call_changes_is_never_written(
    server: Server, upstream: Upstream, caller: Caller, cache: AnthropicCache
):
    for number in range(4):
        body = turns(1, system=f"{number} {LONG}", tools=[])
        body["messages"] = [{"role": "user", "content": f"{number} {LONG}"}]
        ask(server, caller, body)
        assert not is_marked(upstream, number)


def test_one_callers_prompts_teach_nothing_about_anothers(server: Server, upstream: Upstream, cache: AnthropicCache):
    one, other = server.caller(), server.caller()
    ask(server, one, turns(1))
    ask(server, other, turns(1))
    assert not is_marked(upstream, 1)
    ask(server, one, turns(1))
    assert is_marked(upstream, 2)
