import json
from typing import Any

import pytest
from tests.support import bridging
from tests.support.bridging import DONE, TAKES_ALL, USAGE, answer, call, chunk, event, events_of

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import Profile
from hypereal.wire.bridges.opaque import seal, unseal

TOOLS = [
    {"type": "function", "name": "ls", "parameters": {"type": "object"}},
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "notes", "tools": [{"type": "function", "name": "list"}]},
    {"type": "tool_search", "execution": "client"},
]


def sent(profile: Profile = TAKES_ALL, **members: Any) -> dict[str, Any]:
    return bridging.sent(Dialect.OPENAI_RESPONSES, {"input": "hi", **members}, profile)


def messages(*items: Any) -> list[dict[str, Any]]:
    return sent(input=list(items), tools=TOOLS)["messages"]


def replied(message: dict[str, Any], finish: str = "stop", **members: Any) -> dict[str, Any]:
    return bridging.replied(Dialect.OPENAI_RESPONSES, {"input": "hi", **members}, answer(message, finish))


def streamed(*reads: bytes, **members: Any) -> list[Any]:
    return events_of(bridging.streamed(Dialect.OPENAI_RESPONSES, {"input": "hi", **members}, *reads))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"temperature": 0.5, "top_p": 1, "max_output_tokens": 5}, {"temperature": 0.5, "top_p": 1, "max_tokens": 5}),
        ({"user": "u", "safety_identifier": "s"}, {"user": "u", "safety_identifier": "s"}),
        ({"prompt_cache_key": "k", "service_tier": "flex"}, {"prompt_cache_key": "k", "service_tier": "flex"}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": None, "text": None, "previous_response_id": None, "background": False}, {}),
        ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}, "input": "json"}, {"response_format": {"type": "json_object"}}),
        ({"store": True, "truncation": "auto", "include": ["x"], "metadata": {"a": "b"}, "client_metadata": {}}, {}),
        ({"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}, {}),
    ],
)
def test_settings_are_carried_over(members: dict[str, Any], expected: dict[str, Any]) -> None:
    made = sent(**members)
    assert {name: value for name, value in made.items() if name not in ("model", "messages")} == expected


def test_a_schema_for_the_output_is_carried() -> None:
    form = {"type": "json_schema", "name": "final", "schema": {"type": "object"}, "strict": True}
    assert sent(text={"format": form})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "final", "schema": {"type": "object"}, "strict": True},
    }


def test_instructions_come_first() -> None:
    assert sent(instructions="Be brief.")["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


def test_messages_are_read_with_and_without_their_type() -> None:
    said = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "d"}, {"type": "refusal", "refusal": "e"}]},
        {"role": "system", "content": "f"},
    ]
    assert messages(*said) == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b\n\nc"},
        {"role": "assistant", "content": "de"},
        {"role": "system", "content": "f"},
    ]


def test_what_belongs_to_one_turn_is_one_message() -> None:
    said = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "r"}], "encrypted_content": seal()},
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "c1", "name": "ls", "arguments": '{"n":1.0}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "+a\n"},
        {"type": "function_call", "call_id": "c3", "name": "list", "namespace": "notes", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
        {"role": "user", "content": "wait"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "y"}]},
        {"type": "function_call_output", "call_id": "c3", "output": "z"},
    ]
    calls = [call("c1", "ls", '{"n":1.0}'), call("c2", "patch", '{"input":"+a\\n"}'), call("c3", "notes__list", "{}")]
    assert messages(*said) == [
        {"role": "assistant", "content": "a", "reasoning_content": "r", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
        {"role": "tool", "tool_call_id": "c2", "content": "y"},
        {"role": "tool", "tool_call_id": "c3", "content": "z"},
        {"role": "user", "content": "wait"},
    ]


def test_a_second_message_and_new_reasoning_begin_a_turn_of_their_own() -> None:
    said = [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"type": "reasoning", "summary": [], "encrypted_content": seal(text="r")},
        {"type": "function_call", "call_id": "c", "name": "ls", "arguments": "{}"},
    ]
    assert messages(*said) == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": "", "reasoning_content": "r", "tool_calls": [call("c", "ls", "{}")]},
    ]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"summary": [{"text": "s"}], "encrypted_content": "gAAAA"}, None),
        ({"summary": [{"text": "s"}]}, None),
        ({"summary": [{"text": "s"}], "encrypted_content": seal()}, "s"),
        ({"summary": [], "content": None, "encrypted_content": seal(text="t")}, "t"),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "c"}]}, "c"),
    ],
)
def test_reasoning_is_carried_where_it_is_ours_or_in_plain_words(item: dict[str, Any], expected: str | None) -> None:
    (message,) = messages({"type": "reasoning", **item}, {"role": "assistant", "content": "a"})
    assert message.get("reasoning_content") == expected


def test_images_and_files_are_carried() -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVA=", "detail": "high"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVA=", "filename": "a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]
    (message,) = messages({"role": "user", "content": parts})
    assert message["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA=", "detail": "high"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVA="}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]


def test_images_of_a_result_follow_in_a_message_of_the_users() -> None:
    output = [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "https://x/a.png"}]
    result, after = messages({"type": "function_call_output", "call_id": "c", "output": output})
    assert result == {"role": "tool", "tool_call_id": "c", "content": "x"}
    assert after["content"][1] == {"type": "image_url", "image_url": {"url": "https://x/a.png"}}


def test_the_clients_search_for_tools_is_a_call_and_what_it_found_is_offered() -> None:
    found = [{"type": "function", "name": "blame", "parameters": {}}, TOOLS[2]]
    said = [
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "git"}},
        {"type": "tool_search_output", "call_id": "c", "tools": found},
        {"type": "tool_search_output", "call_id": None, "tools": []},
    ]
    made = sent(input=said, tools=TOOLS)
    assert made["messages"] == [
        {"role": "assistant", "content": "", "tool_calls": [call("c", "tool_search", '{"query":"git"}')]},
        {"role": "tool", "tool_call_id": "c", "content": "Tools that can be used now: blame, notes__list"},
    ]
    assert "blame" in [each["function"]["name"] for each in made["tools"]]


def test_what_the_vendor_ran_is_left_out() -> None:
    assert messages({"type": "web_search_call", "id": "ws_1"}, {"role": "user", "content": "a"}) == [
        {"role": "user", "content": "a"}
    ]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "m"}]}, "input"),
        ({"input": [{"type": "local_shell_call"}]}, "input"),
        ({"input": [{"id": "no type"}]}, "input"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]}, "input"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "ls"}]}, "input"),
        ({"input": [{"type": "function_call", "name": "ls", "arguments": "{}"}]}, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 5}]}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"instructions": []}, "instructions"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(members: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sent(**members)
    assert refused.value.param == named


def test_calls_are_what_the_caller_offered() -> None:
    calls = [
        call("c1", "ls", '{"a":1}'),
        call("c2", "patch", '{"input": "+a\\n"}'),
        call("c3", "notes__list", "{}"),
        call("c4", "tool_search", '{"query":"git"}'),
        call("c5", "other", "{}"),
    ]
    output = replied({"content": "", "tool_calls": calls}, "tool_calls", tools=TOOLS)["output"]
    assert [{name: value for name, value in item.items() if name not in ("id", "status")} for item in output] == [
        {"type": "function_call", "call_id": "c1", "name": "ls", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "+a\n"},
        {"type": "function_call", "call_id": "c3", "name": "list", "namespace": "notes", "arguments": "{}"},
        {"type": "tool_search_call", "call_id": "c4", "execution": "client", "arguments": {"query": "git"}},
        {"type": "function_call", "call_id": "c5", "name": "other", "arguments": "{}"},
    ]
    assert len({item["id"] for item in output}) == 5


@pytest.mark.parametrize("arguments", ["+a", '{"patch":"+a"}', '"+a"'])
def test_the_input_of_a_custom_tool_is_never_lost(arguments: str) -> None:
    (item,) = replied({"content": "", "tool_calls": [call("c", "patch", arguments)]}, tools=TOOLS)["output"]
    assert item["input"] == arguments


def test_calls_of_custom_tools_come_back_as_they_were() -> None:
    message = {"content": "", "tool_calls": [call("c", "patch", '{"input":"+a"}'), call("d", "notes__list", "{}")]}
    output = replied(message, "tool_calls", tools=TOOLS)["output"]
    assert messages(*output) == [{"role": "assistant", **message}]


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_finish_reasons_are_a_status(finish: str, status: str, reason: str | None) -> None:
    reply = replied({"content": "a"}, finish)
    assert (reply["status"], (reply["incomplete_details"] or {}).get("reason")) == (status, reason)
    last = streamed(chunk({"content": "a"}, finish), DONE)[-1]
    assert last["type"] == f"response.{status}"


def test_reasoning_is_a_summary_for_those_who_ask_and_sealed_for_the_others() -> None:
    message = {"reasoning_content": "t", "content": "a"}
    shown = replied(message, reasoning={"summary": "auto"})["output"][0]
    assert shown["summary"] == [{"type": "summary_text", "text": "t"}]
    hidden = replied(message)["output"][0]
    assert hidden["summary"] == []
    assert unseal(hidden["encrypted_content"]) == {"text": "t"}
    for item in (shown, hidden):
        assert messages(item, {"role": "assistant", "content": "a"})[0]["reasoning_content"] == "t"


def test_the_response_says_again_what_was_asked() -> None:
    asked = {
        "instructions": "i",
        "tools": TOOLS,
        "metadata": {"a": "b"},
        "text": {"verbosity": "low"},
        "temperature": 1.0,
    }
    reply = replied({"content": "a"}, **asked, store=False)
    assert {name: reply[name] for name in asked} == asked
    assert (reply["tool_choice"], reply["store"], reply["model"]) == ("auto", False, "m")


def test_a_body_on_many_lines_does_not_break_events() -> None:
    request = bridging.read(Dialect.OPENAI_RESPONSES, {"input": "hi"})
    body = json.dumps({"model": "m", "input": "hi", "tools": TOOLS}, indent=2).replace("\n", "\r\n").encode()
    from_lines = bridging.DIALECTS[Dialect.OPENAI_RESPONSES].read(body)
    through = bridging.BRIDGES[Dialect.OPENAI_RESPONSES, Dialect.OPENAI_CHAT].stream(from_lines, TAKES_ALL, "7")
    stream = through.feed(chunk({"content": "a"}, "stop") + DONE)
    assert request.model == from_lines.model
    assert events_of(stream)[-1]["response"]["tools"] == TOOLS


def test_events_are_numbered_named_and_in_order() -> None:
    reads = [chunk({"content": "a"}), chunk({"content": "b"}, "stop"), chunk(None, usage=USAGE), DONE]
    events = streamed(*reads)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert [each["type"].removeprefix("response.") for each in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[-1]["response"]["usage"]["total_tokens"] == 27
    assert events[-1]["response"]["output"] == [events[-2]["item"]]


def test_without_usage_none_is_told() -> None:
    assert streamed(chunk({"content": "a"}, "stop"), DONE)[-1]["response"]["usage"] is None


def test_arguments_go_out_as_they_come_and_a_custom_input_once_it_is_whole() -> None:
    def fragments(name: str, *parts: str) -> list[bytes]:
        first = {"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}
        return [
            chunk({"tool_calls": [each]})
            for each in [first, *({"index": 0, "function": {"arguments": part}} for part in parts)]
        ]

    def deltas(events: list[Any]) -> list[str]:
        return [each["delta"] for each in events if each["type"].endswith(".delta")]

    assert deltas(streamed(*fragments("ls", '{"a":', "1}"), DONE, tools=TOOLS)) == ['{"a":', "1}"]
    assert deltas(streamed(*fragments("patch", '{"input":', '"+a"}'), DONE, tools=TOOLS)) == ["+a"]


def test_a_signature_that_comes_late_is_kept_behind_its_call() -> None:
    start = {"index": 0, "id": "c", "function": {"name": "ls", "arguments": "{}"}}
    signed = {"index": 0, "extra_content": {"google": {"thought_signature": "s"}}}
    output = streamed(chunk({"tool_calls": [start]}), chunk({"tool_calls": [signed]}), DONE)[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["function_call", "reasoning"]
    assert messages(*output)[0]["tool_calls"] == [call("c", "ls", "{}", "s")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "x", "code": "context_length_exceeded"}, "context_length_exceeded"),
        ({"message": "x"}, "server_error"),
    ],
)
def test_a_failure_has_the_code_that_codex_acts_on(error: dict[str, Any], code: str) -> None:
    last = streamed(chunk({"content": "a"}), event({"error": error}))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": code, "message": "x"}


def test_a_failure_at_once_is_whole() -> None:
    (only,) = streamed(event({"error": {"message": "x"}}))
    assert only["response"]["id"].startswith("resp_")
    assert only["response"]["status"] == "failed"
