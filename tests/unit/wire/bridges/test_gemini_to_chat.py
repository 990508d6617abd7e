import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, UpstreamFailed
from hypereal.wire import BRIDGES, DIALECTS, PROFILES

BRIDGE = BRIDGES[Dialect.GEMINI, Dialect.OPENAI_CHAT]
LOCAL = PROFILES["local"]
HELLO = [{"role": "user", "parts": [{"text": "hi"}]}]


def bridged(**members: object) -> dict[str, object]:
    body = json.dumps({"contents": HELLO, **members}).encode()
    request = BRIDGE.request(DIALECTS[Dialect.GEMINI].read(body, model="m", stream=False), LOCAL)
    return json.loads(DIALECTS[Dialect.OPENAI_CHAT].write(request, "up", LOCAL))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"temperature": 0, "topP": 1, "seed": 3}, {"temperature": 0, "top_p": 1, "seed": 3}),
        ({"max_output_tokens": 5, "stop_sequences": ["x"]}, {"max_tokens": 5, "stop": ["x"]}),
        ({"candidateCount": 2, "presencePenalty": 0.5}, {"n": 2, "presence_penalty": 0.5}),
        ({"responseMimeType": "application/json"}, {"response_format": {"type": "json_object"}}),
        ({"topK": 4, "thinkingConfig": {}, "temperature": None}, {}),
    ],
)
def test_settings_are_carried_over(config: dict[str, object], expected: dict[str, object]) -> None:
    sent = bridged(generationConfig=config)
    assert {name: value for name, value in sent.items() if name not in ("model", "messages")} == expected


def test_the_output_limit_has_the_name_that_the_vendor_takes() -> None:
    body = json.dumps({"contents": HELLO, "generationConfig": {"maxOutputTokens": 5}}).encode()
    request = DIALECTS[Dialect.GEMINI].read(body, model="m", stream=False)
    assert "max_completion_tokens" in BRIDGE.request(request, PROFILES["openai"]).fields
    assert "max_tokens" in BRIDGE.request(request, PROFILES["zai"]).fields


def test_a_json_schema_goes_through_untouched() -> None:
    schema = {"type": "object", "properties": {"type": {"type": "string"}}}
    sent = bridged(generationConfig={"responseMimeType": "application/json", "responseJsonSchema": schema})
    assert sent["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"tools": [{"googleSearch": {}}]}, "tools"),
        ({"cachedContent": "c"}, "cachedContent"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "responseModalities"),
        ({"contents": [{"parts": [{"fileData": {}}]}]}, "fileData"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "functionCall"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "inlineData"),
    ],
)
def test_what_is_not_text_is_refused_with_the_endpoint_that_takes_it(members: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidRequest, match="/v1/chat/completions") as refused:
        bridged(**members)
    assert refused.value.param == named


@pytest.mark.parametrize(
    "contents", [["hi"], [{"parts": "hi"}], [{"role": "tool", "parts": []}], [{"parts": [{"text": 5}]}], [None]]
)
def test_contents_of_a_wrong_shape_are_refused(contents: list[object]) -> None:
    with pytest.raises(InvalidRequest):
        bridged(contents=contents)


@pytest.mark.parametrize(
    ("reason", "expected"), [("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("odd", "OTHER")]
)
def test_finish_reasons_have_their_gemini_names(reason: str, expected: str) -> None:
    body = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": reason}]}
    assert json.loads(BRIDGE.answer(json.dumps(body).encode(), LOCAL))["candidates"][0]["finishReason"] == expected


@pytest.mark.parametrize("body", [b"", b"{}", b'{"error":{"message":"m"}}', b"[]"])
def test_what_is_no_completion_is_the_upstreams_failure(body: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        BRIDGE.answer(body, LOCAL)


def test_a_stream_does_not_depend_on_how_its_events_are_grouped_and_ends_once() -> None:
    piece = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":%s}]}\n\n'
    events = [
        piece % b"null",
        piece % b'"stop"',
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
    ]
    events.append(b"data: [DONE]\n\n")
    one, many = BRIDGE.stream(LOCAL), BRIDGE.stream(LOCAL)
    whole = one.feed(b"".join(events)) + one.end()
    assert whole == b"".join(many.feed(event) for event in events) + many.end()
    assert whole.count(b"finishReason") == 1
    assert b"[DONE]" not in whole


def test_a_cut_stream_does_not_look_whole() -> None:
    through = BRIDGE.stream(LOCAL)
    through.feed(b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n')
    assert through.end() == b""


odd = st.recursive(
    st.none() | st.integers() | st.sampled_from(["user", "TEXT", "OBJECT", "application/json"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["parts", "text", "role", "type"]), inner)
    ),
    max_leaves=6,
)
NAMES = ["contents", "systemInstruction", "generationConfig", "tools", "cachedContent"]
CONFIG = ["temperature", "responseSchema", "responseJsonSchema", "responseMimeType", "responseModalities"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), odd | st.dictionaries(st.sampled_from(CONFIG), odd)))
def test_requests_of_wrong_shapes_are_carried_or_refused(members: dict[str, object]) -> None:
    try:
        bridged(**members)
    except InvalidRequest:
        pass


def test_a_schema_nested_too_deeply_is_refused() -> None:
    def schema(depth: int) -> dict[str, object]:
        return {"responseSchema": json.loads('{"items":' * depth + "{}" + "}" * depth)}

    assert "items" in bridged(generationConfig=schema(100))["response_format"]["json_schema"]["schema"]
    with pytest.raises(InvalidRequest, match="deeply"):
        bridged(generationConfig=schema(900))
