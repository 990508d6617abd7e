"""A conversation stays with one target and one key while they are well, whatever process and turn it is."""

import json
from collections.abc import Iterator

import pytest
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.raw import Raw
from tests.support.server import Caller, Server, upstream_environ
from tests.support.upstream import Upstream

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
CONFIG = """
[limits]
requests_per_minute = 100000

[providers.left]
dialects = ["openai_chat", "openai_responses"]
base_url = "{upstream}/left/v1"
api_keys = ["left-key-1", "left-key-2", "left-key-3"]

[providers.right]
dialects = ["openai_chat", "openai_responses"]
base_url = "{upstream}/right/v1"
api_keys = ["right-key-1"]

[models.shared]
targets = [{{ target = "left:up-left", weight = 1 }}, {{ target = "right:up-right", weight = 1 }}]
price = {{ input = 1.0, output = 10.0 }}

[models.keyed]
targets = ["left:up-left"]
price = {{ input = 1.0, output = 10.0 }}
"""


@pytest.fixture(scope="module")
def shared(background: Background, scripted_upstream: Upstream) -> Iterator[Server]:
    """Two data processes, so that what they agree on is not in the memory of one."""
    running = Server(
        background, upstream_environ(scripted_upstream), CONFIG.format(upstream=scripted_upstream.url), workers=2
    )
    yield running
    assert running.audit() == []
    running.stop()


@pytest.fixture
def payer(shared: Server) -> Caller:
    return shared.caller()


def chat(number: int, turn: int, model: str = "shared") -> dict[str, object]:
    """The turn of a conversation that is known only by how it starts."""
    messages = [{"role": "user", "content": f"conversation {number}"}]
    messages += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "more"}] * turn
    return {"model": model, "messages": messages}


def key_of(upstream: Upstream, number: int) -> str:
    return str(upstream.request(number).get("authorization")).removeprefix("Bearer ")


def test_conversations_are_shared_by_weight_and_each_stays_where_it_is(
    shared: Server, upstream: Upstream, payer: Caller
):
    homes: dict[int, set[str]] = {}
    for turn in range(3):
        for number in range(24):
            answer = shared.call(CHAT, chat(number, turn), payer.secret)
            homes.setdefault(number, set()).add(str(answer.get("x-hypereal-provider")))
    assert all(len(home) == 1 for home in homes.values())
    assert {home for found in homes.values() for home in found} == {"left", "right"}


def test_a_cache_key_of_the_caller_names_the_conversation(shared: Server, upstream: Upstream, payer: Caller):
    homes: dict[str, set[str]] = {}
    for number in range(12):
        for key in "abcdef":
            body = {"model": "shared", "input": f"question {number}", "prompt_cache_key": key}
            answer = shared.call(RESPONSES, body, payer.secret)
            assert upstream.request(len(upstream.requests) - 1).json["prompt_cache_key"] == key
            homes.setdefault(key, set()).add(str(answer.get("x-hypereal-provider")))
    assert all(len(home) == 1 for home in homes.values())


def test_a_conversation_moves_when_its_target_fails_and_then_stays_there(
    shared: Server, upstream: Upstream, payer: Caller
):
    first = shared.call(CHAT, chat(500, 0), payer.secret).get("x-hypereal-provider")
    other = {"left": "right", "right": "left"}[str(first)]
    upstream.answer(f"up-{first}", *[scripts.plain(b"", 500)] * 2)
    assert shared.call(CHAT, chat(500, 1), payer.secret).get("x-hypereal-provider") == other


def test_a_conversation_keeps_its_key_and_all_keys_are_used(shared: Server, upstream: Upstream, payer: Caller):
    keys: dict[int, set[str]] = {}
    for turn in range(2):
        for number in range(20):
            shared.call(CHAT, chat(number, turn, "keyed"), payer.secret)
            keys.setdefault(number, set()).add(key_of(upstream, turn * 20 + number))
    assert all(len(used) == 1 for used in keys.values())
    assert {key for used in keys.values() for key in used} == {"left-key-1", "left-key-2", "left-key-3"}


def test_an_answer_is_continued_by_the_account_that_keeps_it(shared: Server, upstream: Upstream, payer: Caller):
    with Raw(shared.url) as line:  # one connection is one process
        for number in range(8):
            name = f"resp_{number}"
            upstream.answer("up-left", scripts.plain(vendors.responses_answer() | {"id": name}))
            line.post(RESPONSES, {"model": "keyed", "input": f"question {number}"}, payer.secret)
            assert line.answer().status == 200
            line.post(RESPONSES, {"model": "keyed", "input": "more", "previous_response_id": name}, payer.secret)
            assert line.answer().status == 200
            assert key_of(upstream, 2 * number) == key_of(upstream, 2 * number + 1)
    assert len({key_of(upstream, 2 * number) for number in range(8)}) > 1


@pytest.mark.parametrize("status", [401, 429])
def test_the_next_key_is_used_at_once_where_one_is_refused(
    status: int, shared: Server, upstream: Upstream, payer: Caller
):
    upstream.answer("up-left", scripts.plain({"error": {"message": "no"}}, status))
    answer = shared.call(CHAT, chat(900 + status, 0, "keyed"), payer.secret)
    assert answer.status == 200
    assert answer.json == vendors.chat_answer()
    assert key_of(upstream, 0) != key_of(upstream, 1)
    row = shared.usage(answer.request_id)
    assert row["attempts"] == 2
    assert [one["status"] for one in json.loads(row["tried"])] == [status]
