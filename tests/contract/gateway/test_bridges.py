"""Each bridge through a running server: the official clients of three dialects on an upstream that speaks chat only."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from tests.support import raw, vendors
from tests.support import upstream as scripts
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Do, Upstream

from hypereal.kit.money import MICRO_PER_CREDIT

MODEL = "kimi-k2.5"
TEXT = "".join(vendors.TEXT)
NAME, ARGUMENTS = vendors.TOOL
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
THOUGHT = "They ask for the weather."


@pytest.fixture
def claude(server: Server, caller: Caller) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key=caller.secret, max_retries=0) as client:
        yield client


@pytest.fixture
def gpt(server: Server, caller: Caller) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=caller.secret, max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(server: Server, caller: Caller) -> genai.Client:
    return genai.Client(api_key=caller.secret, http_options=types.HttpOptions(base_url=f"{server.url}/v1/gemini"))


def tool_answer() -> dict[str, Any]:
    """The model thinks, then calls the tool."""
    answer = vendors.chat_tool_answer()
    answer["choices"][0]["message"] |= {"content": None, "reasoning_content": THOUGHT}
    return answer


def tool_events() -> list[bytes]:
    return [vendors.chat_chunk({"role": "assistant", "reasoning_content": THOUGHT}), *vendors.chat_tool_events()]


def scripted(upstream: Upstream) -> None:
    """First a call of the tool, plain and streamed; then the text."""
    upstream.answer(MODEL, scripts.plain(tool_answer()), scripts.stream(tool_events()))


def sent(upstream: Upstream, number: int = 0) -> Any:
    request = upstream.request(number)
    assert request.path == "/moonshot/v1/chat/completions"
    return request.json


def last_turns(upstream: Upstream) -> list[Any]:
    """The assistant's call and the tool's result, as the third request carried them."""
    return sent(upstream, 2)["messages"][-2:]


def assert_turns_are_whole(turns: list[Any]) -> None:
    call, result = turns
    assert (call["role"], call["reasoning_content"]) == ("assistant", THOUGHT)
    (called,) = call["tool_calls"]
    assert (called["function"]["name"], json.loads(called["function"]["arguments"])) == vendors.TOOL
    assert result == {"role": "tool", "tool_call_id": called["id"], "content": "rain"}


def test_the_anthropic_client_in_a_tool_loop(claude: anthropic.Anthropic, upstream: Upstream):
    scripted(upstream)
    ask: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 2000,
        "thinking": {"type": "adaptive"},
        "tools": [{"name": NAME, "input_schema": SCHEMA}],
        "messages": [{"role": "user", "content": MARK}],
    }
    plain = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        thinking, use = message.content
        assert (thinking.thinking, use.name, use.input) == (THOUGHT, NAME, ARGUMENTS)
        assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 600, 200)
        assert message.usage.cache_read_input_tokens == 400
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "rain"}
    ask["messages"] += [{"role": "assistant", "content": streamed.content}, {"role": "user", "content": [result]}]
    with claude.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == TEXT
    assert sent(upstream)["tools"][0]["function"] == {"name": NAME, "parameters": SCHEMA}
    assert_turns_are_whole(last_turns(upstream))


def test_the_openai_client_in_a_tool_loop_over_responses(gpt: openai.OpenAI, upstream: Upstream):
    scripted(upstream)
    items: list[Any] = [{"role": "user", "content": MARK}]
    tools = [{"type": "function", "name": NAME, "parameters": SCHEMA, "strict": False}]
    ask: dict[str, Any] = {"model": MODEL, "tools": tools, "store": False, "reasoning": {"summary": "auto"}}
    plain = gpt.responses.create(input=items, **ask)
    with gpt.responses.stream(input=items, **ask) as stream:
        streamed = stream.get_final_response()
    for response in (plain, streamed):
        reasoning, call = response.output
        assert reasoning.summary[0].text == THOUGHT
        assert (call.name, json.loads(call.arguments)) == vendors.TOOL
        assert (response.status, response.usage.total_tokens) == ("completed", 1200)
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in streamed.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    with gpt.responses.stream(input=items, **ask) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == stream.get_final_response().output_text == TEXT
    assert_turns_are_whole(last_turns(upstream))


def test_the_google_client_in_a_tool_loop(gemini: genai.Client, upstream: Upstream):
    scripted(upstream)
    declaration = types.FunctionDeclaration(name=NAME, parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declaration])],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
    )
    asked = types.Content(role="user", parts=[types.Part(text=MARK)])
    plain = gemini.models.generate_content(model=MODEL, contents=[asked], config=config)
    chunks = list(gemini.models.generate_content_stream(model=MODEL, contents=[asked], config=config))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    for thought, call in (plain.candidates[0].content.parts, parts):
        assert (thought.thought, thought.text) == (True, THOUGHT)
        assert (call.function_call.name, call.function_call.args) == vendors.TOOL
    assert plain.usage_metadata.total_token_count == chunks[-1].usage_metadata.total_token_count == 1200
    response = types.FunctionResponse(id=call.function_call.id, name=NAME, response={"output": "rain"})
    told = types.Content(role="user", parts=[types.Part(function_response=response)])
    contents = [asked, types.Content(role="model", parts=parts), told]
    stream = gemini.models.generate_content_stream(model=MODEL, contents=contents, config=config)
    assert "".join(chunk.text or "" for chunk in stream) == TEXT
    assert_turns_are_whole(last_turns(upstream))


FULL = vendors.event({"error": {"message": "They are full.", "code": 503}})
DONE = vendors.event(b"[DONE]")
BODIES = [
    pytest.param("/v1/messages", {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}, id="messages"),
    pytest.param("/v1/responses", {"input": "hi"}, id="responses"),
    pytest.param("/v1/gemini", {"contents": [{"parts": [{"text": "hi"}]}]}, id="gemini"),
]
bodies = pytest.mark.parametrize(("path", "body"), BODIES)


def broken_off(
    path: str, body: dict[str, Any], broken: list[scripts.Step], server: Server, upstream: Upstream, caller: Caller
) -> raw.Answer:
    """A stream whose upstream goes on with BROKEN once the caller has its beginning, and then says no more."""
    gate = upstream.gate()
    upstream.answer(MODEL, [*scripts.stream(vendors.chat_events()[:3], ends=False), gate, *broken, upstream.gate()])
    with raw.Raw(server.url) as connection:
        connection.post(path, {"model": MODEL, "stream": True, **body}, caller.secret)
        head = connection.head()
        first = next(connection.chunks())
        gate.open()
        return raw.Answer(head.status, head.fields, first + b"".join(connection.chunks()))


def is_error(event: Any) -> bool:
    return "error" in event or event.get("type") == "response.failed"


@bodies
@pytest.mark.parametrize("stream", [False, True])
def test_a_bridged_call_is_billed_by_what_the_upstream_counted(path, body, stream, server: Server, upstream: Upstream):
    payer = server.caller(1000)
    answer = server.call(path, {"model": MODEL, "stream": stream, **body}, payer.secret)
    assert answer.status == 200
    row = server.usage(answer.request_id)
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (600, 400, 200)
    assert (row["provider"], row["is_estimated"]) == ("moonshot", False)
    server.is_idle(payer)
    assert server.balance(payer).ledger == 1000 * MICRO_PER_CREDIT - row["charged"]


@bodies
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([Do.CUT], id="cut"),
        pytest.param([b"0\r\n\r\n"], id="ended before its last event"),
        pytest.param([scripts.chunk(FULL), Do.CUT], id="an error, then cut"),
        pytest.param([scripts.chunk(FULL), b"0\r\n\r\n"], id="an error, then the end"),
        pytest.param([scripts.chunk(FULL + DONE), b"0\r\n\r\n"], id="an error, then the end of a whole answer"),
        pytest.param([scripts.chunk(vendors.chat_chunk({}, "network_error"))], id="a reason that is none"),
    ],
)
def test_a_bridged_stream_that_breaks_off_ends_with_one_error(
    path, body, broken, server: Server, upstream: Upstream, caller: Caller
):
    """At once, also where the upstream keeps the connection open after its error."""
    answer = broken_off(path, body, broken, server, upstream, caller)
    assert [is_error(event) for event in answer.events] == [False] * (len(answer.events) - 1) + [True]
    assert vendors.TEXT[0] in answer.body.decode()
    is_full = FULL in b"".join(part for part in broken if isinstance(part, bytes))
    if is_full:
        assert "They are full." in json.dumps(answer.events[-1])
    numbers = [event["sequence_number"] for event in answer.events if "sequence_number" in event]
    assert numbers == list(range(len(numbers)))
    row = server.usage(answer.request_id)
    assert (row["status"], row["is_estimated"]) == (503 if is_full else 502, True)


def test_a_failed_response_has_the_id_that_it_began_with(server: Server, upstream: Upstream, caller: Caller):
    answer = broken_off("/v1/responses", {"input": "hi"}, [scripts.chunk(FULL)], server, upstream, caller)
    assert answer.events[0]["response"]["id"] == answer.events[-1]["response"]["id"]


def test_heartbeats_of_a_bridged_response_have_the_number_of_the_event_before(
    server: Server, upstream: Upstream, caller: Caller
):
    """Silent before its first event and in mid-stream, which then breaks off; both at once, to wait for them once."""
    said, gates = vendors.chat_events(), [upstream.gate(), upstream.gate()]
    upstream.answer(MODEL, scripts.stream([gates[0], *said]), scripts.stream([*said[:3], gates[1], FULL]))
    with raw.Raw(server.url) as early, raw.Raw(server.url) as late:
        for connection in (early, late):
            connection.post("/v1/responses", {"model": MODEL, "input": "hi", "stream": True}, caller.secret)
            upstream.request(int(connection is late))
        heads, chunks = [each.head() for each in (late, early)], [each.chunks() for each in (late, early)]
        got = [b"", b""]
        for at in (0, 1):
            while b"keepalive" not in got[at]:
                got[at] += next(chunks[at])
            gates[1 - at].open()
            got[at] += b"".join(chunks[at])
    broken, whole = (raw.Answer(head.status, head.fields, body).events for head, body in zip(heads, got, strict=True))
    kinds = [(event["type"], event["sequence_number"]) for event in whole]
    assert kinds[:2] == [("keepalive", 0), ("response.created", 0)]
    assert kinds[-1] == ("response.completed", len(kinds) - 2)
    beat = next(event for event in broken if event["type"] == "keepalive")
    numbers = [event["sequence_number"] for event in broken if event is not beat]
    assert numbers == list(range(len(numbers)))
    assert beat["sequence_number"] == numbers[-2]


@bodies
def test_a_stream_in_the_smallest_pieces_is_the_same(path, body, server: Server, upstream: Upstream, caller: Caller):
    ways = (scripts.stream, scripts.byte_by_byte, scripts.in_one_chunk, scripts.with_crlf)
    upstream.answer(MODEL, *[way(tool_events()) for way in ways])
    ask = {"model": MODEL, "stream": True, **body}
    answers = [server.call(path, ask, caller.secret) for _ in ways]
    one, *others = [answer.body.replace(answer.request_id[4:].encode(), b"ID") for answer in answers]
    assert NAME.encode() in one
    assert others == [one] * 3


LIMITS = [
    pytest.param("/v1/messages", {"max_tokens": 128_000, "messages": [{"role": "user", "content": "hi"}]}),
    pytest.param("/v1/responses", {"max_output_tokens": 128_000, "input": "hi"}),
    pytest.param(
        "/v1/gemini", {"generationConfig": {"maxOutputTokens": 128_000}, "contents": [{"parts": [{"text": "hi"}]}]}
    ),
]


@pytest.mark.parametrize(("path", "body"), LIMITS)
@pytest.mark.parametrize(("model", "limit"), [("chat-only", 65_536), (MODEL, 128_000)], ids=["known", "unknown"])
def test_a_limit_of_output_is_no_more_than_the_model_gives(
    model, limit, path, body, server: Server, upstream: Upstream, caller: Caller
):
    assert server.call(path, {"model": model, **body}, caller.secret).status == 200
    assert upstream.request().json["max_tokens"] == limit


def test_a_native_limit_of_output_stays_as_it_is(server: Server, upstream: Upstream, caller: Caller):
    body = {"model": "claude-haiku-4-5", "max_tokens": 128_000, "messages": [{"role": "user", "content": "hi"}]}
    assert server.call("/v1/messages", body, caller.secret).status == 200
    assert upstream.request().json["max_tokens"] == 128_000


def test_what_a_bridge_cannot_carry_is_refused_and_costs_nothing(server: Server, upstream: Upstream):
    payer = server.caller(1000)
    body = {"model": MODEL, "input": [{"type": "item_reference", "id": "msg_1"}]}
    answer = server.call("/v1/responses", body, payer.secret)
    assert (answer.status, answer.error["param"]) == (400, "input")
    assert upstream.requests == []
    server.is_idle(payer)
    assert server.balance(payer).ledger == 1000 * MICRO_PER_CREDIT


@pytest.mark.parametrize(
    "body",
    [
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], "store": False},
        {"system": "Be brief.", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "tools": [{"name": NAME, "input_schema": SCHEMA}],
        },
    ],
    ids=["responses", "messages", "messages by its tools"],
)
def test_the_chat_route_reads_other_shapes_and_answers_chat(body, server: Server, upstream: Upstream, caller: Caller):
    answer = server.call("/v1/chat/completions", {"model": "gpt-5", "stream": True, **body}, caller.secret)
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in answer.events) == TEXT
    assert answer.payloads[-1] == b"[DONE]"
    asked = upstream.request().json
    assert asked["messages"][-1] == {"role": "user", "content": "hi"}
    assert "input" not in asked
    assert "system" not in asked
