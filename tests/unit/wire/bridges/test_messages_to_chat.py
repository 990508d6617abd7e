from typing import Any

import pytest
from tests.support import bridging
from tests.support.bridging import DONE, TAKES_ALL, USAGE, answer, call, chunk, events_of

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import DIALECTS, Profile
from hypereal.wire.bridges.opaque import seal, unseal

HELLO = [{"role": "user", "content": "hi"}]
THINKS = {"thinking": {"type": "adaptive"}}


def body(**members: Any) -> dict[str, Any]:
    return {"max_tokens": 9, "messages": HELLO, **members}


def sent(profile: Profile = TAKES_ALL, **members: Any) -> dict[str, Any]:
    return bridging.sent(Dialect.ANTHROPIC_MESSAGES, body(**members), profile)


def messages(*said: Any) -> list[dict[str, Any]]:
    return sent(messages=list(said))["messages"]


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def replied(message: dict[str, Any], finish: str = "stop", **members: Any) -> dict[str, Any]:
    return bridging.replied(Dialect.ANTHROPIC_MESSAGES, body(**members), answer(message, finish))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"temperature": 0.5, "top_p": 1, "top_k": 4}, {"temperature": 0.5, "top_p": 1}),
        ({"stop_sequences": ["x"]}, {"stop": ["x"]}),
        ({"stop_sequences": [], "metadata": {"user_id": "u"}}, {"user": "u"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, {"reasoning_effort": "high", "max_tokens": 32008}),
        ({"thinking": {"type": "disabled"}}, {"reasoning_effort": "low"}),
        (THINKS, {}),
        ({**THINKS, "output_config": {"effort": "max"}}, {"reasoning_effort": "high"}),
        ({"context_management": {}, "service_tier": "auto", "cache_control": {}, "container": None}, {}),
        ({"max_tokens": 0}, {"max_tokens": 1}),
    ],
)
def test_settings_are_carried_over(members: dict[str, Any], expected: dict[str, Any]) -> None:
    made = sent(**members)
    rest = {name: value for name, value in made.items() if name not in ("model", "messages")}
    assert rest == {"max_tokens": 9, **expected}


def test_a_schema_for_the_output_is_carried() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    form = sent(output_config={"format": {"type": "json_schema", "schema": schema}})["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Be brief.", "Be brief."),
        ([{"type": "text", "text": "a", "cache_control": {}}, {"type": "text", "text": "b"}], "a\n\nb"),
        ([{"type": "text", "text": "x-anthropic-billing-header: cc_version=2;"}, {"type": "text", "text": "b"}], "b"),
    ],
)
def test_the_system_prompt_is_the_first_message(system: Any, expected: str) -> None:
    assert sent(system=system)["messages"] == [{"role": "system", "content": expected}, *HELLO]


def test_a_system_message_within_the_conversation_stays_where_it_is() -> None:
    mid = {"role": "system", "content": [{"type": "text", "text": "Budget: 90%"}]}
    assert messages(*HELLO, mid, *HELLO) == [*HELLO, {"role": "system", "content": "Budget: 90%"}, *HELLO]


def test_calls_and_results_keep_their_ids() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"n": 1.0}}
    told = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "a"}],
        "is_error": False,
    }
    made = messages(
        *HELLO, assistant({"type": "text", "text": "See."}, use), user({"type": "text", "text": "and"}, told)
    )
    assert made[1:] == [
        {"role": "assistant", "content": "See.", "tool_calls": [call("toolu_1", "Read", '{"n":1.0}')]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "a"},
        {"role": "user", "content": "and"},
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("boom", "Error: boom"),
        (None, "Error: "),
        (
            [{"type": "text", "text": "a"}, {"type": "tool_reference", "tool_name": "Bash"}],
            "Error: a\n\nThe tool Bash can be used now.",
        ),
    ],
)
def test_a_failed_tool_says_so(content: Any, expected: str) -> None:
    told = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": True}
    assert messages(user(told)) == [{"role": "tool", "tool_call_id": "t", "content": expected}]


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVA="}}
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA="}}


def test_images_of_a_result_follow_in_a_message_of_the_users() -> None:
    told = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "1 x 1"}, IMAGE]}
    result, after = messages(user(told))
    assert result == {"role": "tool", "tool_call_id": "t", "content": "1 x 1"}
    assert after["content"][1:] == [SHOWN]
    assert "t" in after["content"][0]["text"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (IMAGE, [SHOWN]),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
            [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}],
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVA="},
                "title": "t.pdf",
            },
            [{"type": "file", "file": {"filename": "t.pdf", "file_data": "data:application/pdf;base64,JVA="}}],
        ),
    ],
)
def test_media_become_parts(block: dict[str, Any], expected: list[Any]) -> None:
    assert messages(user(block)) == [{"role": "user", "content": expected}]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}, "title": "t"},
            "t\nd",
        ),
        ({"type": "document", "source": {"type": "content", "content": "d"}, "context": "c"}, "c\nd"),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "d"}]},
                "title": "t",
            },
            "t\n\nd",
        ),
        (
            {"type": "search_result", "title": "t", "source": "u", "content": [{"type": "text", "text": "d"}]},
            "t\nu\n\nd",
        ),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, ""),
    ],
)
def test_documents_of_text_become_text(block: dict[str, Any], expected: str) -> None:
    assert messages(user(block)) == [{"role": "user", "content": expected}]


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [user({"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}})]},
        {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
        {"messages": [user({"type": "container_upload", "file_id": "f"})]},
        {"messages": [assistant({"type": "image"})]},
        {"messages": [user({"type": None})]},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [user({"type": "tool_result", "content": "no id"})]},
        {"messages": [assistant({"type": "tool_use", "id": "t", "input": {}})]},
        {"system": 5},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": [{"name": "no schema"}]},
        {"inference_geo": "us"},
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sent(**members)
    assert refused.value.param == next(iter(members))


def test_documents_nested_without_end_are_refused() -> None:
    block: dict[str, Any] = {"type": "text", "text": "a"}
    for _ in range(6):
        block = {"type": "document", "source": {"type": "content", "content": [block]}}
    with pytest.raises(InvalidRequest, match="deeply"):
        messages(user(block))


TOOLS = [
    {
        "name": "Read",
        "description": "d",
        "input_schema": {"$schema": "x", "type": "object"},
        "cache_control": {},
        "strict": True,
    },
    {"type": "custom", "name": "m" * 70, "input_schema": {"type": "object"}, "defer_loading": True},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
]


def test_tools_are_carried_but_for_those_that_the_vendor_runs() -> None:
    first, second = sent(tools=TOOLS)["tools"]
    assert first["function"] == {"name": "Read", "description": "d", "parameters": {"type": "object"}, "strict": True}
    assert len(second["function"]["name"]) <= 64


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "Read"}, {"type": "function", "function": {"name": "Read"}}),
        ({"type": "tool", "name": "web_search"}, "auto"),
    ],
)
def test_the_choice_of_tools_is_carried(choice: dict[str, Any], expected: Any) -> None:
    assert sent(tools=TOOLS, tool_choice=choice)["tool_choice"] == expected


def test_one_call_at_a_time_is_carried_and_a_choice_of_no_tool_is_not() -> None:
    choice = {"type": "any", "disable_parallel_tool_use": True}
    assert sent(tools=TOOLS, tool_choice=choice)["parallel_tool_calls"] is False
    assert "tool_choice" not in sent(tools=TOOLS[2:], tool_choice={"type": "tool", "name": "web_search"})


def test_long_names_of_tools_are_restored() -> None:
    name = sent(tools=TOOLS)["tools"][1]["function"]["name"]
    (block,) = replied({"content": "", "tool_calls": [call("c", name, "{}")]}, "tool_calls", tools=TOOLS)["content"]
    assert block == {"type": "tool_use", "id": "c", "name": "m" * 70, "input": {}}


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("odd", "end_turn")],
)
def test_finish_reasons_have_their_names(finish: str, expected: str) -> None:
    assert replied({"content": "a"}, finish)["stop_reason"] == expected


def test_a_refusal_is_text_that_stops_for_it() -> None:
    reply = replied({"content": None, "refusal": "No."})
    assert (reply["content"], reply["stop_reason"]) == ([{"type": "text", "text": "No."}], "refusal")


def test_the_stop_sequence_is_told_where_it_is_one_of_the_callers() -> None:
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop", "stop_reason": "END"}
    said = answer({}, choices=[choice])
    for stops, expected in ((["END"], ("stop_sequence", "END")), (["X"], ("end_turn", None))):
        reply = bridging.replied(Dialect.ANTHROPIC_MESSAGES, body(stop_sequences=stops), said)
        assert (reply["stop_reason"], reply["stop_sequence"]) == expected


MESSAGE = {"reasoning_content": "t", "content": "a"}


def test_thinking_is_shown_to_those_who_ask() -> None:
    assert [block["type"] for block in replied(MESSAGE)["content"]] == ["text"]
    thinking, text = replied(MESSAGE, **THINKS)["content"]
    assert (thinking["thinking"], text["text"]) == ("t", "a")
    assert thinking["signature"]


def test_thinking_that_is_omitted_comes_back_all_the_same() -> None:
    reply = replied(MESSAGE, thinking={"type": "adaptive", "display": "omitted"})
    assert reply["content"][0]["thinking"] == ""
    assert unseal(reply["content"][0]["signature"]) == {"text": "t"}
    (message,) = messages(assistant(*reply["content"]))
    assert message == {"role": "assistant", **MESSAGE}


def test_thinking_of_another_vendor_is_reasoning_and_what_is_sealed_from_us_is_dropped() -> None:
    blocks = [{"type": "thinking", "thinking": "t", "signature": "EqQB"}, {"type": "redacted_thinking", "data": "Eg=="}]
    (message,) = messages(assistant(*blocks, {"type": "text", "text": "a"}))
    assert message == {"role": "assistant", **MESSAGE}


def test_an_assistant_who_says_nothing_is_left_out() -> None:
    assert messages(*HELLO, assistant({"type": "thinking", "thinking": "t", "signature": seal()})) == HELLO


def test_a_signature_stands_before_its_call_where_it_is_known_and_behind_it_else() -> None:
    start = {"index": 0, "id": "c", "function": {"name": "ls", "arguments": "{}"}}
    signed = {"index": 0, "extra_content": {"google": {"thought_signature": "s"}}}
    end = [chunk({}, "tool_calls"), chunk(None, usage=USAGE), DONE]
    for reads, kinds in (
        ([chunk({"tool_calls": [start | signed]})], ["redacted_thinking", "tool_use"]),
        ([chunk({"tool_calls": [start]}), chunk({"tool_calls": [signed]})], ["tool_use", "redacted_thinking"]),
    ):
        stream = bridging.streamed(Dialect.ANTHROPIC_MESSAGES, body(), *reads, *end)
        starts = [event["content_block"] for event in events_of(stream) if event["type"] == "content_block_start"]
        assert [block["type"] for block in starts] == kinds
        sealed = next(block["data"] for block in starts if "data" in block)
        assert unseal(sealed) == {"call": "c", "signature": "s"}


def test_usage_comes_at_the_end_with_its_input() -> None:
    usage = USAGE | {
        "prompt_tokens_details": {"cached_tokens": 15},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    stream = bridging.streamed(
        Dialect.ANTHROPIC_MESSAGES, body(), chunk({"content": "a"}, "stop"), chunk(None, usage=usage), DONE
    )
    first, *_, last, stop = events_of(stream)
    assert first["message"]["usage"]["input_tokens"] == 0
    assert last["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 15,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    assert stop == {"type": "message_stop"}


def test_every_event_has_the_name_of_its_type() -> None:
    stream = bridging.streamed(Dialect.ANTHROPIC_MESSAGES, body(), chunk({"content": "a"}, "stop"), DONE)
    names = [line[7:].decode() for line in stream.split(b"\n") if line.startswith(b"event: ")]
    assert names == [event["type"] for event in events_of(stream)]


def test_only_the_first_choice_is_told() -> None:
    second = {"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}
    reads = [chunk({"content": "a"}, "stop"), chunk(None, choices=[second]), DONE]
    folded = DIALECTS[Dialect.ANTHROPIC_MESSAGES].fold(bridging.streamed(Dialect.ANTHROPIC_MESSAGES, body(), *reads))
    assert b'"a"' in folded
    assert b'"b"' not in folded
    assert b'"end_turn"' in folded
