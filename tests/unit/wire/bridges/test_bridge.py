"""What holds for every bridge: nothing that can be carried is lost, however it comes, and nothing does harm."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import bridging
from tests.support.bridging import DONE, TAKES_ALL, USAGE, chunk, events_of

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest, UpstreamFailed
from hypereal.wire import BRIDGES, DIALECTS, Profile

BODIES: dict[Dialect, dict[str, Any]] = {
    Dialect.GEMINI: {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
        "tools": [{"functionDeclarations": [{"name": name} for name in ("ls", "read.file")]}],
    },
    Dialect.ANTHROPIC_MESSAGES: {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "adaptive"},
        "tools": [{"name": "ls", "input_schema": {"type": "object"}}],
    },
    Dialect.OPENAI_RESPONSES: {
        "input": [{"role": "user", "content": "hi"}],
        "reasoning": {"summary": "auto"},
        "tools": [{"type": "function", "name": "ls", "parameters": {}}],
    },
}
every_bridge = pytest.mark.parametrize("dialect", [caller for caller, _ in BRIDGES])

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
json_objects = st.dictionaries(texts, texts | st.integers() | st.none() | st.lists(texts, max_size=2), max_size=3)
signatures = st.just("") | st.binary(min_size=1, max_size=8).map(lambda raw: base64.b64encode(raw).decode())


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """What an upstream may say: always something."""
    calls = []
    for number in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["ls", "read_file"]))
        arguments = json.dumps(draw(json_objects), separators=(",", ":"), ensure_ascii=False)
        calls.append(bridging.call(f"call_{number}", name, arguments, draw(signatures)))
    message: dict[str, Any] = {"role": "assistant", "content": draw(texts | st.just("")) if calls else draw(texts)}
    if draw(st.booleans()):
        message["reasoning_content"] = draw(texts)
    if calls:
        message["tool_calls"] = calls
    if signature := draw(signatures):
        message["extra_content"] = {"google": {"thought_signature": signature}}
    return message


def with_history(dialect: Dialect, reply: dict[str, Any]) -> dict[str, Any]:
    """The next request of a caller who was given REPLY."""
    body = BODIES[dialect]
    match dialect:
        case Dialect.GEMINI:
            return body | {"contents": [*body["contents"], reply["candidates"][0]["content"]]}
        case Dialect.ANTHROPIC_MESSAGES:
            said = {"role": "assistant", "content": reply["content"]}
            return body | {"messages": [*body["messages"], said]}
        case _:
            return body | {"input": [*body["input"], *reply["output"]]}


def stream_of(message: dict[str, Any], cuts: list[int]) -> list[bytes]:
    ends = [chunk({}, "tool_calls" if "tool_calls" in message else "stop"), chunk(None, usage=USAGE), DONE]
    return [*map(chunk, bridging.pieces(message, cuts)), *ends]


@every_bridge
@settings(deadline=None, max_examples=60)
@given(message=messages())
def test_what_was_answered_comes_back_whole_in_the_next_request(dialect: Dialect, message: dict[str, Any]) -> None:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    reply = bridging.replied(dialect, BODIES[dialect], bridging.answer(message, finish))
    assert bridging.sent(dialect, with_history(dialect, reply))["messages"][-1] == message


@every_bridge
@settings(deadline=None, max_examples=60)
@given(message=messages(), cuts=st.lists(st.integers(1, 5), max_size=4))
def test_a_stream_says_what_the_plain_answer_says(dialect: Dialect, message: dict[str, Any], cuts: list[int]) -> None:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    plain = bridging.replied(dialect, BODIES[dialect], bridging.answer(message, finish))
    folded = DIALECTS[dialect].fold(bridging.streamed(dialect, BODIES[dialect], *stream_of(message, cuts)))
    assert json.loads(folded) == plain


@every_bridge
@settings(deadline=None, max_examples=30)
@given(message=messages(), cuts=st.lists(st.integers(1, 5), max_size=4), data=st.data())
def test_a_stream_does_not_depend_on_how_its_events_are_grouped(
    dialect: Dialect, message: dict[str, Any], cuts: list[int], data: st.DataObject
) -> None:
    events = stream_of(message, cuts)
    reads, rest = [], list(events)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        reads.append(b"".join(rest[:size]))
        rest = rest[size:]
    one = bridging.streamed(dialect, BODIES[dialect], b"".join(events))
    many = bridging.streamed(dialect, BODIES[dialect], *reads)
    assert one == many
    assert DIALECTS[dialect].is_complete(one)


@every_bridge
@settings(deadline=None, max_examples=40)
@given(message=messages(), cuts=st.lists(st.integers(1, 5), max_size=4), data=st.data())
def test_a_cut_stream_does_not_look_whole(
    dialect: Dialect, message: dict[str, Any], cuts: list[int], data: st.DataObject
) -> None:
    events = stream_of(message, cuts)[:-2]
    kept = events[: data.draw(st.integers(0, len(events)))]
    assert not DIALECTS[dialect].is_complete(bridging.streamed(dialect, BODIES[dialect], *kept))


@every_bridge
@pytest.mark.parametrize("body", [b"", b"{}", b'{"error":{"message":"m"}}', b"[]", b'{"choices":[]}'])
def test_what_is_no_completion_is_the_upstreams_failure(dialect: Dialect, body: bytes) -> None:
    request = bridging.read(dialect, BODIES[dialect])
    with pytest.raises(UpstreamFailed):
        BRIDGES[dialect, Dialect.OPENAI_CHAT].answer(body, request, TAKES_ALL, bridging.ANSWER_ID)


@every_bridge
@pytest.mark.parametrize(
    "reads",
    [
        [DONE],
        [chunk({"content": "a"}), bridging.event({"error": {"message": "no memory"}}), DONE],
        [chunk({"content": "a"}, "network_error"), DONE],
    ],
)
def test_a_stream_that_fails_ends_with_one_error(dialect: Dialect, reads: list[bytes]) -> None:
    stream = bridging.streamed(dialect, BODIES[dialect], *reads)
    last = b"data: " + json.dumps(events_of(stream)[-1]).encode() + b"\n\n"
    assert DIALECTS[dialect].error_in(last) is not None
    assert b"[DONE]" not in stream


LIMITS = {
    Dialect.GEMINI: lambda limit: {"generationConfig": {"maxOutputTokens": limit}},
    Dialect.ANTHROPIC_MESSAGES: lambda limit: {"max_tokens": limit},
    Dialect.OPENAI_RESPONSES: lambda limit: {"max_output_tokens": limit},
}


@every_bridge
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(("asked", "sent"), [(999, 999), (1000, 1000), (1001, 1000), (128_000, 1000)])
def test_a_limit_over_what_the_model_gives_is_lowered(dialect: Dialect, name: str, asked: int, sent: int) -> None:
    bridge, profile = BRIDGES[dialect, Dialect.OPENAI_CHAT], Profile(output_limit=name)
    request = bridging.read(dialect, BODIES[dialect] | LIMITS[dialect](asked))
    lowered = bridge.within(1000).request(request, profile)
    assert (bytes(lowered.fields[name]), lowered.output_tokens_max) == (str(sent).encode(), sent)
    assert bytes(bridge.request(request, profile).fields[name]) == str(asked).encode()


@every_bridge
def test_who_names_no_limit_gets_none(dialect: Dialect) -> None:
    if dialect is not Dialect.ANTHROPIC_MESSAGES:  # whose callers must name one
        request = bridging.read(dialect, BODIES[dialect])
        sent = BRIDGES[dialect, Dialect.OPENAI_CHAT].within(1000).request(request, TAKES_ALL)
        assert TAKES_ALL.output_limit not in sent.fields


@every_bridge
def test_a_call_that_was_cut_spoils_no_plain_answer(dialect: Dialect) -> None:
    cut = bridging.call("call_0", "ls", '{"a": "b')
    message = {"content": "Let me see.", "tool_calls": [cut]}
    assert "Let me see." in json.dumps(
        bridging.replied(dialect, BODIES[dialect], bridging.answer(message, "length")), ensure_ascii=False
    )


@every_bridge
@pytest.mark.parametrize("depth", [100, 400, 900, 980, 5000])
def test_deeply_nested_arguments_are_carried_or_the_upstreams_failure(dialect: Dialect, depth: int) -> None:
    arguments = '{"a":' * depth + "1" + "}" * depth
    answer = bridging.answer({"content": "", "tool_calls": [bridging.call("call_0", "ls", arguments)]}, "tool_calls")
    try:
        bridging.replied(dialect, BODIES[dialect], answer)
    except UpstreamFailed:
        pass
    bridging.streamed(dialect, BODIES[dialect], *stream_of(answer["choices"][0]["message"], []))


NAMES = {
    "contents": ["role", "parts", "text", "thought", "functionCall", "functionResponse", "inlineData", "fileData"],
    "parts": ["name", "args", "id", "response", "mimeType", "data", "fileUri", "parts", "output", "thoughtSignature"],
    "input": ["type", "role", "content", "call_id", "output", "arguments", "namespace", "summary", "encrypted_content"],
    "messages": ["type", "role", "content", "source", "input", "tool_use_id", "is_error", "thinking", "media_type"],
    "tools": ["name", "functionDeclarations", "parameters", "parametersJsonSchema", "input_schema", "tools", "format"],
    "more": ["definition", "syntax", "data", "url", "image_url", "file_data", "filename", "detail", "id", "execution"],
}
WORDS = ["user", "model", "assistant", "system", "developer", "text", "image", "document", "tool_use", "tool_result"]
WORDS += ["thinking", "message", "input_text", "input_image", "input_file", "function_call", "function_call_output"]
WORDS += ["custom", "namespace", "function", "custom_tool_call", "reasoning", "base64", "url", "image/png", "AUTO"]
WORDS += ["json_schema", "enabled", "auto", "tool", "allowed_tools", "tool_search", "tool_search_output", "OBJECT"]
leaves = st.none() | st.integers(-1, 70000) | st.sampled_from(WORDS) | st.booleans() | st.just("aGk=") | st.just("")
members = st.sampled_from(sorted({name for names in NAMES.values() for name in names}))
odd = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=5), max_leaves=14
)
TOP = {
    Dialect.GEMINI: ["contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "cachedContent"],
    Dialect.ANTHROPIC_MESSAGES: ["messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata"],
    Dialect.OPENAI_RESPONSES: [
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "reasoning",
        "text",
        "max_output_tokens",
    ],
}


@every_bridge
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_requests_of_wrong_shapes_are_carried_or_refused(dialect: Dialect, data: st.DataObject) -> None:
    changes = data.draw(st.dictionaries(st.sampled_from(TOP[dialect]), odd | st.lists(st.dictionaries(members, odd))))
    request = None
    try:
        request = bridging.read(dialect, BODIES[dialect] | changes)
        bridge = BRIDGES[dialect, Dialect.OPENAI_CHAT]
        for profile in (TAKES_ALL, Profile(takes_json_schema=False)):
            DIALECTS[Dialect.OPENAI_CHAT].read(
                DIALECTS[Dialect.OPENAI_CHAT].write(bridge.request(request, profile), "up", profile)
            )
    except InvalidRequest:
        return
    message = {"content": "a", "tool_calls": [bridging.call("c", "ls", "{}")]}
    try:
        bridge.answer(json.dumps(bridging.answer(message)).encode(), request, TAKES_ALL, bridging.ANSWER_ID)
    except HyperealError as error:
        raise AssertionError("what was asked can be answered") from error


@every_bridge
@pytest.mark.parametrize("depth", [100, 500, 900, 950, 975, 985, 1100, 5000])
def test_deep_nesting_is_refused_or_carried_wherever_it_stands(dialect: Dialect, depth: int) -> None:
    raw = '{"items":' * depth + "{}" + "}" * depth
    for name in TOP[dialect]:
        body = json.dumps({**({} if dialect is Dialect.GEMINI else {"model": "m"}), **BODIES[dialect], name: 0})
        body = body.replace(f'"{name}": 0', f'"{name}": {raw}')
        try:
            path = {"model": "m"} if dialect is Dialect.GEMINI else {}
            request = DIALECTS[dialect].read(body.encode(), **path)
            BRIDGES[dialect, Dialect.OPENAI_CHAT].request(request, TAKES_ALL)
        except InvalidRequest:
            pass
