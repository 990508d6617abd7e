"""`previous_response_id` over a bridge: the conversation is kept here, for its owner alone, and for a day."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.contract.gateway.test_bad_input import assert_refused
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.raw import Answer, Raw
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Upstream

from hypereal.conversations import SIZE_BYTES_MAX

PATH = "/v1/responses"
MODEL = "kimi-k2.5"
OTHER_MODEL = "deepseek-v3.2"
TEXT = "".join(vendors.TEXT)
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def pair(background: Background, scripted_upstream: Upstream) -> Iterator[Server]:
    """A server of two data processes, which tests may restart."""
    config = servers.config(scripted_upstream, body_bytes_max=8 * MEBIBYTE)
    running = Server(background, servers.upstream_environ(scripted_upstream), config, workers=2)
    yield running
    servers.assert_ended_well(running)


def ask(server: Server, caller: Caller, text: str, previous: str | None = None, **members: Any) -> Answer:
    body = {"model": MODEL, "input": text, **({"previous_response_id": previous} if previous else {}), **members}
    return server.call(PATH, body, caller.secret)


def answered(server: Server, caller: Caller, text: str, previous: str | None = None, **members: Any) -> str:
    """The id of a plain answer."""
    answer = ask(server, caller, text, previous, **members)
    assert answer.status == 200, answer.body
    answer_id: str = answer.json["id"]
    return answer_id


def assert_unknown(answer: Answer) -> None:
    assert_refused(answer, PATH)
    assert (answer.error["code"], answer.error["param"]) == ("previous_response_not_found", "previous_response_id")


def process_of(answer: Answer) -> str:
    """What tells the requests of one data process from those of others."""
    return answer.request_id[:20]


def turns(upstream: Upstream, number: int) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in upstream.request(number).json["messages"]]


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_the_openai_client_goes_on_by_id_through_restarts(is_stream: bool, pair: Server, upstream: Upstream):
    caller = pair.caller(1000)
    texts, previous = ["one", "two", "three"], None
    for text in texts:
        with openai.OpenAI(base_url=f"{pair.url}/v1", api_key=caller.secret, max_retries=0) as client:
            body: dict[str, Any] = {"model": MODEL, "input": text, "instructions": f"Now {text}."}
            body |= {} if previous is None else {"previous_response_id": previous}
            if is_stream:
                with client.responses.stream(**body) as stream:
                    response = stream.get_final_response()
            else:
                response = client.responses.create(**body)
        assert (response.output_text, response.previous_response_id, response.store) == (TEXT, previous, True)
        previous = response.id
        pair.restart()
    expected: list[tuple[str, str]] = []
    for number, text in enumerate(texts):
        expected.append(("user", text))
        assert turns(upstream, number) == [("system", f"Now {text}."), *expected]
        expected.append(("assistant", TEXT))


def test_a_tool_loop_sends_results_only(pair: Server, upstream: Upstream):
    caller = pair.caller(1000)
    upstream.answer(MODEL, scripts.plain(vendors.chat_tool_answer()))
    tools = [{"type": "function", "name": vendors.TOOL[0], "parameters": {"type": "object"}}]
    first = ask(pair, caller, "Weather?", tools=tools)
    result = {"type": "function_call_output", "call_id": first.json["output"][0]["call_id"], "output": "rain"}
    assert ask(pair, caller, [result], first.json["id"], tools=tools).status == 200  # type: ignore[arg-type]
    user, call, told = upstream.request(1).json["messages"]
    assert (user["content"], told["content"]) == ("Weather?", "rain")
    assert told["tool_call_id"] == call["tool_calls"][0]["id"]


def test_every_process_knows_an_answer_at_once(pair: Server):
    """Writing is behind the answer: a process that looks too early looks again."""
    caller = pair.caller(1000)
    crossings = 0
    answer = ask(pair, caller, "hi")
    for _ in range(60):
        after = ask(pair, caller, "and then?", answer.json["id"])
        assert after.status == 200, after.body
        crossings += process_of(after) != process_of(answer)
        answer = ask(pair, caller, "hi")
        if crossings == 5:
            return
    raise AssertionError("all connections came to one process")


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_another_models_answer_is_continued(is_stream: bool, server: Server, upstream: Upstream, caller: Caller):
    first = answered(server, caller, "one")
    assert ask(server, caller, "two", first, model=OTHER_MODEL, stream=is_stream).status == 200
    assert upstream.request(1).path.startswith("/deepseek/")
    assert turns(upstream, 1) == [("user", "one"), ("assistant", TEXT), ("user", "two")]


def test_a_vendor_that_has_responses_itself_gets_the_items(server: Server, upstream: Upstream, caller: Caller):
    answer = vendors.chat_answer(reasoning_content="Hm.")
    upstream.answer(MODEL, scripts.plain(answer))
    first = answered(server, caller, "one")
    assert ask(server, caller, "two", first, model="gpt-5").status == 200
    sent = upstream.request(1)
    assert sent.path == PATH
    asked, said, asks = sent.json["input"]
    assert (asked["content"], said["content"][0]["text"], asks["content"]) == ("one", TEXT, "two")
    assert "id" not in said
    assert "previous_response_id" not in sent.json


def test_an_answer_is_its_owners_alone(pair: Server, upstream: Upstream):
    owner, other = pair.caller(1000), pair.caller(1000)
    first = answered(pair, owner, "hi")
    assert_unknown(ask(pair, other, "and?", first))
    assert len(upstream.requests) == 1
    assert ask(pair, owner, "and?", first).status == 200


@pytest.mark.parametrize("previous", ["resp_nobody", "", "resp_\0", "resp_é", "x" * 5000])
def test_an_unknown_answer_is_refused(previous: str, server: Server, upstream: Upstream, caller: Caller):
    assert_unknown(ask(server, caller, "and?", None, previous_response_id=previous))
    assert upstream.requests == []


def test_what_was_not_to_be_stored_is_not(server: Server, caller: Caller):
    answer = ask(server, caller, "hi", store=False)
    assert answer.json["store"] is False
    assert_unknown(ask(server, caller, "and?", answer.json["id"]))


def test_an_answer_that_broke_off_is_not_kept(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer(MODEL, scripts.stream([*vendors.chat_events()[:3]]))
    broken = ask(server, caller, "hi", stream=True)
    assert broken.events[-1]["type"] == "response.failed"
    assert_unknown(ask(server, caller, "and?", broken.events[-1]["response"]["id"]))


def test_a_chat_call_continues_nothing(server: Server, caller: Caller):
    body = {"model": MODEL, "messages": [], "previous_response_id": answered(server, caller, "hi")}
    assert server.call("/v1/chat/completions", body, caller.secret).status == 400


def test_a_conversation_ends_after_a_day(pair: Server):
    caller = pair.caller(1000)
    first = answered(pair, caller, "hi")
    row = "SELECT expires_at - now() AS left FROM conversations WHERE owner_id = $1 AND response_id = $2"
    pair.wait_for(lambda: pair.query(row, caller.owner_id, first), "the row")
    assert 86_300 < pair.query(row, caller.owner_id, first)[0]["left"].total_seconds() <= 86_400
    pair.query("UPDATE conversations SET expires_at = now() WHERE owner_id = $1", caller.owner_id)
    assert_unknown(ask(pair, caller, "and?", first))


def test_a_conversation_that_is_too_large_is_not_kept_and_that_is_said(pair: Server, upstream: Upstream):
    caller = pair.caller(1_000_000)
    large = "word " * (SIZE_BYTES_MAX * 6 // 10 // 5)
    first = answered(pair, caller, large)
    second = answered(pair, caller, large, first)
    assert len(upstream.request(1).json["messages"]) == 3
    refused = ask(pair, caller, "and?", second)
    assert_unknown(refused)
    assert "over 4 MiB" in refused.error["message"]
    assert ask(pair, caller, "and?", first).status == 200


def test_a_conversation_counts_as_a_body_while_its_call_goes_on(pair: Server, upstream: Upstream):
    caller = pair.caller(1000)
    first = answered(pair, caller, "word " * (MEBIBYTE // 5))
    gate = upstream.gate()
    upstream.answer(MODEL, [gate, *scripts.plain(vendors.chat_answer())])
    with Raw(pair.url) as connection:
        connection.post(PATH, {"model": MODEL, "input": "and?", "previous_response_id": first}, caller.secret)
        pair.wait_for(lambda: body_bytes(pair) > MEBIBYTE, "the conversation is counted")
        gate.open()
        assert connection.answer().status == 200
    pair.wait_for(lambda: body_bytes(pair) == 0, "nothing is held any more")


def body_bytes(server: Server) -> float:
    """Of all data processes, as they told last."""
    metrics = server.call("/metrics", method="GET").body.decode()
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("hypereal_body_bytes{"))


def test_the_database_holds_no_plain_text(pair: Server):
    """Neither in its tables nor in its log: what the scan must find shows that it looks where rows are."""
    caller = pair.caller(1000)
    upstream_text = f"{MARK} answer"
    first = answered(pair, caller, f"{MARK} prompt {upstream_text}")
    row = "SELECT sealed FROM conversations WHERE owner_id = $1 AND response_id = $2"
    (kept,) = pair.wait_for(lambda: pair.query(row, caller.owner_id, first), "the row")
    pair.query("CHECKPOINT")
    stored = {path: path.read_bytes() for path in (pair.data_dir / "postgres").rglob("*") if path.is_file()}
    assert not [path for path, content in stored.items() if MARK.encode() in content]
    sealed = kept["sealed"]
    parts = [sealed[at : at + 16] for at in range(0, len(sealed) - 16, 16)]  # a page of the log may end amid the row
    assert len([path for path, content in stored.items() if any(part in content for part in parts)]) >= 2
    assert ask(pair, caller, "and?", first).status == 200


def test_the_sums_of_a_continued_call_are_its_whole_conversations(server: Server, upstream: Upstream):
    """What is held is for all that is sent, and what is charged is what the upstream counted."""
    caller = server.caller(1000)
    first = answered(server, caller, "one")
    usage = {"prompt_tokens": 50_000, "completion_tokens": 10, "total_tokens": 50_010}
    upstream.answer(MODEL, scripts.plain(vendors.chat_answer(usage=usage)))
    row = server.usage(ask(server, caller, "two", first).request_id)
    assert (row["input_tokens"], row["output_tokens"], row["upstream_id"]) == (50_000, 10, None)


def test_an_answer_is_found_in_the_logs_by_its_id(server: Server, caller: Caller):
    answer = ask(server, caller, "hi")
    assert answer.json["id"] == "resp_" + answer.request_id.removeprefix("req_")
    assert json.loads(answer.body)["output"][0]["id"].startswith("msg_" + answer.request_id.removeprefix("req_"))
