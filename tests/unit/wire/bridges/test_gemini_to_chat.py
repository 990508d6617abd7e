from typing import Any

import pytest
from tests.support import bridging
from tests.support.bridging import DONE, TAKES_ALL, USAGE, answer, call, chunk, events_of

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import Profile
from hypereal.wire.bridges.opaque import seal, unseal

HELLO = [{"role": "user", "parts": [{"text": "hi"}]}]
THINKS = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}


def sent(profile: Profile = TAKES_ALL, **members: Any) -> dict[str, Any]:
    return bridging.sent(Dialect.GEMINI, {"contents": HELLO, **members}, profile)


def messages(*contents: Any) -> list[dict[str, Any]]:
    return sent(contents=list(contents))["messages"]


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def candidate(message: dict[str, Any], finish: str = "stop", **members: Any) -> dict[str, Any]:
    reply = bridging.replied(Dialect.GEMINI, {"contents": HELLO, **members}, answer(message, finish))
    return reply["candidates"][0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"temperature": 0, "topP": 1, "seed": 3}, {"temperature": 0, "top_p": 1, "seed": 3}),
        ({"max_output_tokens": 5, "stop_sequences": ["x"]}, {"max_tokens": 5, "stop": ["x"]}),
        ({"candidateCount": 2, "presencePenalty": 0.5}, {"n": 2, "presence_penalty": 0.5}),
        ({"responseMimeType": "application/json"}, {"response_format": {"type": "json_object"}}),
        ({"topK": 4, "thinkingConfig": {}, "temperature": None, "responseModalities": ["text"]}, {}),
        ({"thinkingConfig": {"thinkingBudget": 8192}}, {"reasoning_effort": "low"}),
        ({"thinking_config": {"thinking_level": "HIGH"}}, {"reasoning_effort": "high"}),
        ({"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": True}}, {}),
    ],
)
def test_settings_are_carried_over(config: dict[str, Any], expected: dict[str, Any]) -> None:
    made = sent(generationConfig=config)
    assert {name: value for name, value in made.items() if name not in ("model", "messages")} == expected


def test_a_json_schema_goes_through_untouched_and_googles_own_is_translated() -> None:
    schema = {"type": "object", "properties": {"type": {"type": "string"}}}
    for config in (
        {"responseMimeType": "application/json", "responseJsonSchema": schema},
        {"response_schema": {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}}},
    ):
        assert sent(generationConfig=config)["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"tools": [{"googleSearch": {}}]}, "tools.googleSearch"),
        ({"tools": [{"code_execution": {}}]}, "tools.codeExecution"),
        ({"cachedContent": "c"}, "cachedContent"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "responseModalities"),
        ({"generationConfig": {"responseLogprobs": True}}, "responseLogprobs"),
        ({"contents": [user({"fileData": {}})]}, "fileData"),
        ({"contents": [user({"fileData": {"fileUri": "gs://a/b.png", "mimeType": "image/png"}})]}, "fileData"),
        ({"contents": [user({"inlineData": {"mimeType": "video/mp4", "data": ""}})]}, "inlineData"),
        ({"contents": [model({"executableCode": {}})]}, "executableCode"),
        ({"contents": [model({"inlineData": {"mimeType": "image/png", "data": ""}})]}, "inlineData"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "inlineData"),
    ],
)
def test_what_chat_cannot_do_is_refused_by_name_with_the_endpoint_to_use(members: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match="/v1/chat/completions") as refused:
        sent(**members)
    assert refused.value.param == named


@pytest.mark.parametrize(
    "contents",
    [
        ["hi"],
        [{"role": "user", "parts": "hi"}],
        [{"role": "tool", "parts": []}],
        [user({"text": 5})],
        [None],
        [model({"functionCall": {}})],
        [user({"inlineData": {"mimeType": 5, "data": ""}})],
        [user({"functionResponse": {"name": "ls", "response": {}}})],
    ],
)
def test_contents_of_a_wrong_shape_are_refused(contents: list[Any]) -> None:
    with pytest.raises(InvalidRequest):
        sent(contents=contents)


def test_calls_and_results_keep_their_ids_and_arguments() -> None:
    asked = {"functionCall": {"id": "ls_17_0", "name": "ls", "args": {"n": 1.0}}, "thoughtSignature": "c2ln"}
    told = {"function_response": {"id": "ls_17_0", "name": "ls", "response": {"output": "a\nb"}}}
    assert messages(*HELLO, model(asked), user(told))[1:] == [
        {"role": "assistant", "content": "", "tool_calls": [call("ls_17_0", "ls", '{"n":1.0}', "c2ln")]},
        {"role": "tool", "tool_call_id": "ls_17_0", "content": "a\nb"},
    ]


def test_calls_without_ids_get_stable_ones_and_results_find_them_by_name_and_order() -> None:
    asked = [{"functionCall": {"name": name}} for name in ("ls", "cat", "ls")]
    told = [
        {"functionResponse": {"name": name, "response": {"n": n}}} for name, n in (("cat", 1), ("ls", 2), ("ls", 3))
    ]
    made = messages(model(*asked), user(*told), model(asked[0]), user(told[1]))
    ids = [[each["id"] for each in made[at]["tool_calls"]] for at in (0, 4)]
    assert ids == [["call_0", "call_1", "call_2"], ["call_3"]]
    results = [(each["tool_call_id"], each["content"]) for each in made if each["role"] == "tool"]
    assert results == [("call_1", '{"n":1}'), ("call_0", '{"n":2}'), ("call_2", '{"n":3}'), ("call_3", '{"n":2}')]


def test_images_of_a_result_follow_in_a_message_of_the_users() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "iVA_"}}
    told = {"functionResponse": {"id": "c", "name": "see", "response": {"ok": True}, "parts": [image]}}
    *_, result, after = messages(model({"functionCall": {"id": "c", "name": "see"}}), user(told, {"text": "Well?"}))
    assert result == {"role": "tool", "tool_call_id": "c", "content": '{"ok":true}'}
    assert [part["type"] for part in after["content"]] == ["text", "image_url", "text"]
    assert after["content"][1]["image_url"]["url"] == "data:image/png;base64,iVA/"


def test_images_on_the_web_are_carried_as_addresses() -> None:
    (message,) = messages(user({"text": "see"}, {"fileData": {"fileUri": "https://example.com/a.png"}}))
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def test_thoughts_are_reasoning_and_text_stays_text() -> None:
    (message,) = messages(
        model({"text": "t", "thought": True}, {"text": "a"}, {"text": "b", "thoughtSignature": "Cg-_"})
    )
    assert (message["content"], message["reasoning_content"]) == ("ab", "t")
    assert message["extra_content"]["google"]["thought_signature"] == "Cg+/"


DECLARED = [
    {
        "functionDeclarations": [
            {"name": "ls", "description": "d"},
            {"name": "mcp:cat", "parameters": {"type": "OBJECT"}},
        ]
    }
]


def test_tools_are_declared() -> None:
    made = sent(tools=DECLARED)
    assert made["tool_choice"] == "auto"
    assert [each["type"] for each in made["tools"]] == ["function", "function"]
    assert made["tools"][0]["function"] == {
        "name": "ls",
        "description": "d",
        "parameters": {"type": "object", "properties": {}},
    }
    assert made["tools"][1]["function"]["parameters"] == {"type": "object"}


@pytest.mark.parametrize(
    ("config", "choice", "count"),
    [
        ({"mode": "NONE"}, "none", 2),
        ({"mode": "ANY"}, "required", 2),
        ({"mode": "ANY", "allowedFunctionNames": ["ls"]}, {"type": "function", "function": {"name": "ls"}}, 1),
        ({"mode": "VALIDATED", "allowed_function_names": ["ls", "mcp:cat"]}, "auto", 2),
    ],
)
def test_the_choice_of_tools_is_carried(config: dict[str, Any], choice: object, count: int) -> None:
    made = sent(tools=DECLARED, tool_config={"function_calling_config": config})
    assert (made["tool_choice"], len(made["tools"])) == (choice, count)


def test_a_choice_of_no_function_is_refused() -> None:
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["rm"]}}
    with pytest.raises(InvalidRequest, match="allowedFunctionNames"):
        sent(tools=DECLARED, toolConfig=config)


def test_names_that_chat_does_not_take_are_restored() -> None:
    name = sent(tools=DECLARED)["tools"][1]["function"]["name"]
    assert name != "mcp:cat"
    said = candidate({"content": "", "tool_calls": [call("c", name, "{}")]}, "tool_calls", tools=DECLARED)
    assert said["content"]["parts"] == [{"functionCall": {"id": "c", "name": "mcp:cat", "args": {}}}]


@pytest.mark.parametrize(
    ("reason", "expected"), [("stop", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("odd", "OTHER")]
)
def test_finish_reasons_have_their_gemini_names(reason: str, expected: str) -> None:
    assert candidate({"content": "a"}, reason)["finishReason"] == expected


def test_a_refusal_is_text_that_ends_for_safety() -> None:
    said = candidate({"content": None, "refusal": "No."})
    assert (said["content"]["parts"], said["finishReason"]) == ([{"text": "No."}], "SAFETY")


@pytest.mark.parametrize(("finish", "expected"), [("tool_calls", "MALFORMED_FUNCTION_CALL"), ("length", "MAX_TOKENS")])
def test_a_call_that_is_no_json_is_not_passed_on(finish: str, expected: str) -> None:
    said = candidate({"content": "", "tool_calls": [call("c", "ls", '{"a')]}, finish)
    assert (said["content"]["parts"], said["finishReason"]) == ([], expected)


def test_thoughts_are_shown_to_those_who_ask() -> None:
    message = {"reasoning_content": "t", "content": "a"}
    assert candidate(message)["content"]["parts"] == [{"text": "a"}]
    assert candidate(message, **THINKS)["content"]["parts"] == [{"text": "t", "thought": True}, {"text": "a"}]


def test_signatures_that_are_no_base64_are_put_into_some() -> None:
    said = candidate({"content": "", "tool_calls": [call("c", "ls", "{}", "not base64!")]}, "tool_calls")
    signature = said["content"]["parts"][0]["thoughtSignature"]
    assert unseal(signature) == {"signature": "not base64!"}
    (message,) = messages(said["content"])
    assert message["tool_calls"] == [call("c", "ls", "{}", "not base64!")]


@pytest.mark.parametrize("signature", ["", "c2ln"])
@pytest.mark.parametrize("config", [{}, THINKS])
def test_thoughts_come_back_with_their_call_whether_shown_or_not(signature: str, config: dict[str, Any]) -> None:
    message = {"reasoning_content": "t", "content": "a", "tool_calls": [call("c", "ls", "{}", signature)]}
    parts = candidate(message, "tool_calls", **config)["content"]["parts"]
    for said in (parts, [part for part in parts if not part.get("thought")]):  # as Gemini CLI sends them back
        assert messages(model(*said)) == [{"role": "assistant", **message}]


def test_a_seal_without_a_signature_is_none() -> None:
    (message,) = messages(model({"functionCall": {"id": "c", "name": "ls"}, "thoughtSignature": seal()}))
    assert message == {"role": "assistant", "content": "", "tool_calls": [call("c", "ls", "{}")]}


def test_calls_come_whole_and_the_last_chunk_has_end_and_usage() -> None:
    fragments = [{"index": 0, "id": "c", "function": {"name": "ls", "arguments": ""}}]
    fragments += [{"index": 0, "function": {"arguments": part}} for part in ('{"a":', "1}")]
    reads = [chunk({"tool_calls": [each]}) for each in fragments]
    reads += [chunk({}, "tool_calls"), chunk(None, usage=USAGE), DONE]
    first, last = events_of(bridging.streamed(Dialect.GEMINI, {"contents": HELLO}, *reads))
    assert first["candidates"][0]["content"]["parts"] == [{"functionCall": {"id": "c", "name": "ls", "args": {"a": 1}}}]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"]["totalTokenCount"] == 27
