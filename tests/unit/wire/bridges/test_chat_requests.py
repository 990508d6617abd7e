import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.errors import InvalidRequest
from hypereal.wire import PROFILES, Profile
from hypereal.wire.bridges import chat_requests
from hypereal.wire.bridges.chat_requests import chat_name, fitted

HELLO = [{"role": "user", "content": "hi"}]


def fit(profile: Profile, **members: Any) -> dict[str, Any]:
    return fitted({"messages": HELLO, **members}, profile)


@given(st.text(max_size=100))
def test_every_name_becomes_one_that_chat_takes_and_always_the_same(name: str) -> None:
    made = chat_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", made)
    assert made == chat_name(name)
    assert (made == name) == bool(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name))


def test_names_that_are_alike_stay_apart() -> None:
    assert len({chat_name("a.b"), chat_name("a:b"), chat_name("a_b"), chat_name("x" * 70), chat_name("x" * 71)}) == 5
    assert chat_name("a", taken=["a"]) != "a"


@pytest.mark.parametrize(
    ("profile", "wanted", "expected"),
    [
        ("openai", "minimal", "minimal"),
        ("openai_compatible", "max", "high"),
        ("openai_compatible", "none", "low"),
        ("zai", "medium", "low"),
        ("zai", "xhigh", "high"),
        ("moonshot", "high", None),
        ("openai", "much", None),
        ("openai", 7, None),
    ],
)
def test_an_effort_is_the_nearest_that_the_vendor_takes(profile: str, wanted: object, expected: str | None) -> None:
    assert fit(PROFILES[profile], reasoning_effort=wanted).get("reasoning_effort") == expected


def test_budgets_of_thinking_are_efforts() -> None:
    assert [chat_requests.effort_of_budget(tokens) for tokens in (0, 1024, 8192, 31999)] == [
        "none",
        "low",
        "medium",
        "high",
    ]


def test_members_that_a_vendor_refuses_are_left_out() -> None:
    sent = fit(PROFILES["mistral"], seed=1, user="u", temperature=0.5, verbosity="low")
    assert sent == {"messages": HELLO, "temperature": 0.5}
    assert "temperature" not in fit(PROFILES["openai"], temperature=0.5)


def test_a_tier_that_costs_more_is_not_dropped_in_silence() -> None:
    assert fit(PROFILES["openai"], service_tier="priority")["service_tier"] == "priority"
    assert "service_tier" not in fit(PROFILES["zai"], service_tier="flex")
    with pytest.raises(InvalidRequest, match="priority"):
        fit(PROFILES["zai"], service_tier="priority")


def test_without_tools_nothing_is_said_of_them() -> None:
    assert fit(Profile(), tools=[], tool_choice="auto", parallel_tool_calls=False) == {"messages": HELLO}


def test_the_output_limit_has_the_name_that_the_vendor_takes() -> None:
    assert fit(PROFILES["openai"], max_tokens=5)["max_completion_tokens"] == 5
    assert fit(PROFILES["zai"], max_tokens=5)["max_tokens"] == 5


def test_where_a_vendor_knows_no_schema_it_is_told_in_words() -> None:
    schema = {"type": "object", "properties": {"a": {}}}
    form = chat_requests.json_format(schema)
    assert fit(Profile(), response_format=form) == {"messages": HELLO, "response_format": form}
    told = fit(PROFILES["deepseek"], response_format=form)
    assert told["response_format"] == {"type": "json_object"}
    assert '{"type":"object","properties":{"a":{}}}' in told["messages"][0]["content"]


def test_json_without_a_schema_is_told_in_words_unless_the_caller_did() -> None:
    form = {"type": "json_object"}
    asked = [{"role": "system", "content": "Be brief."}, *HELLO]
    told = fitted({"messages": asked, "response_format": form}, Profile())["messages"]
    assert told[0]["content"].startswith("Be brief.\n\n")
    assert "JSON" in told[0]["content"]
    said = [{"role": "user", "content": "as json"}]
    assert fitted({"messages": said, "response_format": form}, Profile())["messages"] == said


ANSWERED = {
    "role": "assistant",
    "content": "a",
    "reasoning_content": "r",
    "tool_calls": [chat_requests.call("c", "ls", "{}", "sig")],
    **chat_requests.extra_content("sig"),
}


def test_reasoning_and_signatures_go_back_to_those_who_take_them() -> None:
    everything = Profile(takes_reasoning=True, takes_signatures=True)
    assert fitted({"messages": [ANSWERED]}, everything)["messages"] == [ANSWERED]
    (plain,) = fitted({"messages": [ANSWERED]}, Profile())["messages"]
    assert plain == {"role": "assistant", "content": "a", "tool_calls": [chat_requests.call("c", "ls", "{}")]}
    assert "extra_content" in ANSWERED


def test_who_needs_reasoning_gets_a_blank_where_there_is_none() -> None:
    messages = [*HELLO, {"role": "assistant", "content": "a"}]
    assert fitted({"messages": messages}, PROFILES["moonshot"])["messages"][1]["reasoning_content"] == " "


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": ""}


def test_results_stand_right_behind_their_calls() -> None:
    asks = {"role": "assistant", "content": "", "tool_calls": [chat_requests.call(name, "f", "{}") for name in "ab"]}
    mixed = [asks, result("b"), *HELLO, result("a"), asks, result("a"), result("b"), result("x")]
    ordered = [asks, result("b"), result("a"), *HELLO, asks, result("a"), result("b"), result("x")]
    assert fitted({"messages": mixed}, Profile())["messages"] == ordered


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("image/PNG", {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk+"}}),
        ("audio/mpeg", {"type": "input_audio", "input_audio": {"data": "aGk+", "format": "mp3"}}),
        (
            "application/pdf",
            {"type": "file", "file": {"filename": "n", "file_data": "data:application/pdf;base64,aGk+"}},
        ),
        ("text/plain; charset=utf-8", {"type": "text", "text": "hi>"}),
        ("video/mp4", None),
    ],
)
def test_media_become_the_parts_that_chat_has(media_type: str, expected: object) -> None:
    assert chat_requests.media_part(media_type, "aGk-", "n") == expected


@pytest.mark.parametrize("data", ["%", "/w=="])
def test_text_that_is_none_is_refused(data: str) -> None:
    with pytest.raises(InvalidRequest):
        chat_requests.media_part("text/plain", data, "")
