"""Marks go where they help and are allowed, and nothing else of a request changes."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire import Place, find_prefixes, members
from hypereal.wire.cache_breakpoints import BYTES_PER_TOKEN_MOST

MARK = {"type": "ephemeral"}
MARK_BYTES = b'"cache_control":{"type":"ephemeral"}'
TOKENS_MIN = 20
LONG = "some words of a long text " * 8
"""More than the least length alone."""


def fields_of(body: Any) -> members.Fields:
    return members.parse(body if isinstance(body, bytes) else json.dumps(body).encode())


def marked(body: Any, tokens_min: int = TOKENS_MIN) -> Any:
    """BODY with every mark that can be set, decoded."""
    fields = fields_of(body)
    found = find_prefixes(fields, len(members.encode(fields)), tokens_min)
    return msgspec.json.decode(members.encode(fields if found is None else found.mark(found.found)))


def places(body: Any, tokens_min: int = TOKENS_MIN) -> list[Place]:
    fields = fields_of(body)
    found = find_prefixes(fields, len(members.encode(fields)), tokens_min)
    return [] if found is None else [prefix.place for prefix in found.found]


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(said: str = LONG) -> dict[str, Any]:
    return {"type": "text", "text": said}


AGENT = {
    "system": LONG,
    "tools": [{"name": "a", "description": LONG}, {"name": "b", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}, {"type": "tool_use", "id": "1"}]},
        user({"type": "tool_result", "tool_use_id": "1", "content": "3"}),
    ],
}


def test_marks_stand_at_the_ends_of_tools_system_the_turn_before_and_the_conversation() -> None:
    body = marked(AGENT)
    assert body["tools"] == [AGENT["tools"][0], {**AGENT["tools"][1], "cache_control": MARK}]
    assert body["system"] == [{**text(), "cache_control": MARK}]
    first, answer, last = body["messages"]
    assert first == user({**text(), "cache_control": MARK})
    assert answer == AGENT["messages"][1]
    assert last["content"][0]["cache_control"] == MARK


def test_only_the_chosen_prefixes_are_marked() -> None:
    fields = fields_of(AGENT)
    found = find_prefixes(fields, 10_000, TOKENS_MIN)
    assert found is not None
    marked = found.mark([prefix for prefix in found.found if prefix.place is Place.SYSTEM])
    assert {name for name in fields if marked[name] != fields[name]} == {"system"}
    assert found.mark([]) == fields


@pytest.mark.parametrize(
    "own",
    [
        {"cache_control": MARK},
        {"cache_control": None},
        {"system": [{**text(), "cache_control": MARK}]},
        {"tools": [{"name": "a", "cache_control": MARK}]},
        {"messages": [user({**text(), "cache_control": MARK})]},
        {"messages": [user({"type": "tool_result", "content": [{**text(), "cache_control": MARK}]})]},
        {"messages": [user({"type": "document", "source": {"content": [{**text(), "cache_control": MARK}]}})]},
    ],
)
def test_a_caller_who_marks_anything_is_left_alone(own: dict[str, Any]) -> None:
    assert places({**AGENT, **own}) == []


@pytest.mark.parametrize(
    "same_name",
    [
        {"messages": [{"role": "user", "content": LONG + '"cache_control"'}]},
        {"messages": [user(text(), {"type": "tool_use", "input": {"cache_control": 1, "deep": ["cache_control"]}})]},
        {"tools": [{"name": "a", "input_schema": {"properties": {"cache_control": {}}}}]},
    ],
)
def test_the_same_name_in_the_callers_own_json_is_no_mark(same_name: dict[str, Any]) -> None:
    assert Place.END in places({**AGENT, **same_name})


def test_the_end_of_a_turn_is_a_prefix_of_the_next_turns_request() -> None:
    def digests(body: Any) -> dict[Place, int]:
        found = find_prefixes(fields_of(body), 10_000, TOKENS_MIN)
        assert found is not None
        return {prefix.place: prefix.digest for prefix in found.found}

    now = digests(AGENT)
    answer, results = AGENT["messages"][1:]
    later = digests({**AGENT, "messages": [*AGENT["messages"], answer, results]})
    assert later[Place.TURN] == now[Place.END] != later[Place.END]
    assert (later[Place.TOOLS], later[Place.SYSTEM]) == (now[Place.TOOLS], now[Place.SYSTEM])
    assert digests({**AGENT, "tool_choice": {"type": "any"}})[Place.END] != now[Place.END]
    assert digests({**AGENT, "tool_choice": {"type": "any"}})[Place.SYSTEM] == now[Place.SYSTEM]


def test_a_prefill_is_no_stable_end() -> None:
    prefill = {"role": "assistant", "content": "{"}
    body = marked({"messages": [{"role": "user", "content": LONG}, prefill]})
    assert body["messages"] == [user({**text(), "cache_control": MARK}), prefill]


@pytest.mark.parametrize(
    "last",
    [
        {"type": "thinking", "thinking": LONG},
        {"type": "redacted_thinking", "data": LONG},
        text(""),
        text(" \n\t"),
        {"type": "text"},
        {"type": "something_new", "x": LONG},
    ],
)
def test_blocks_that_may_not_be_marked_are_passed_over(last: dict[str, Any]) -> None:
    body = marked({"messages": [user(text(), last)]})
    assert body["messages"][0]["content"] == [{**text(), "cache_control": MARK}, last]


def test_tools_that_are_loaded_on_demand_are_passed_over() -> None:
    later = {"name": "c", "defer_loading": True}
    body = marked({**AGENT, "tools": [*AGENT["tools"], later]})
    assert body["tools"][1]["cache_control"] == MARK
    assert body["tools"][2] == later


@pytest.mark.parametrize("system", ["", "  ", [], [text("")], None])
def test_an_empty_system_text_is_not_marked(system: Any) -> None:
    assert marked({**AGENT, "system": system})["system"] == system


@pytest.mark.parametrize(
    "messages",
    [
        [],
        {},
        "text",
        [LONG],
        [[LONG]],
        [{"role": 5, "content": LONG}],
        [{"content": 5}],
        [{"role": "user", "content": [5, LONG]}],
        [user({"type": 5, "text": LONG})],
        [user({"type": "text", "text": 5, "x": LONG})],
        [user({}, {"x": LONG})],
        [{"role": "user", "text": LONG}],
    ],
)
def test_messages_of_no_known_shape_go_on_as_they_came(messages: Any) -> None:
    assert marked({"messages": messages, "x": LONG}) == {"messages": messages, "x": LONG}


@pytest.mark.parametrize("tools", [{}, [5], ["a"], [[]], [{}], [{} for _ in LONG], [{"name": 5}]])
def test_tools_of_no_known_shape_go_on_as_they_came(tools: Any) -> None:
    body = {"tools": tools, "messages": [{"role": "user", "content": LONG}]}
    if tools == [{"name": 5}]:  # a mark does no harm there: the vendor refuses it in any case
        assert marked(body)["messages"] == [user({**text(), "cache_control": MARK})]
        return
    assert marked(body)["tools"] == tools


@pytest.mark.parametrize(
    "message",
    [
        '{"role":"user","content":"a","content":"%s"}',
        '{"content":"%s","role":"assistant","role":"user"}',
        '{"role":"user","role":"user ","content":"%s"}',
    ],
)
def test_members_that_stand_twice_never_break_the_body(message: str) -> None:
    body = b'{"messages":[%s]}' % (message % LONG).encode()
    decoded = marked(body)["messages"][0]
    assert decoded["content"] in (LONG, [{**text(), "cache_control": MARK}])


def test_a_key_may_be_written_in_any_way() -> None:
    body = b'{"messages":[ {"r\\"x": [1 ,2] , "\\u0063ontent" :\n"%s" ,"role":"user"} ]}' % LONG.encode()
    assert marked(body)["messages"][0]["content"] == [{**text(), "cache_control": MARK}]


def test_the_bytes_of_a_file_are_no_tokens() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4_000}}
    assert places({"messages": [user(image, text("What is it?"))]}, 100) == []
    assert places({"messages": [user(image, text(LONG * 3))]}, 100) == [Place.END]


def test_below_the_least_length_nothing_is_marked() -> None:
    body = {"messages": [{"role": "user", "content": "a" * 500}]}
    assert places(body, 500 // BYTES_PER_TOKEN_MOST) == [Place.END]
    assert places(body, 1 + len(json.dumps(body["messages"])) // BYTES_PER_TOKEN_MOST) == []


# -- properties --------------------------------------------------------------------------------------------------------

TEXTS = st.one_of(st.text(max_size=60), st.just(LONG), st.just(""), st.just('","cache_control":{"'))
ANY = st.recursive(st.none() | st.integers(-9, 9) | TEXTS, lambda inner: st.lists(inner, max_size=2), max_leaves=4)
BLOCKS = st.one_of(
    st.builds(text, TEXTS),
    st.builds(lambda said: {"type": "thinking", "thinking": said, "signature": "s"}, TEXTS),
    st.builds(lambda said: {"type": "tool_use", "id": "t", "name": "n", "input": {"a": said}}, TEXTS),
    st.builds(lambda said: {"text": said, "type": "text", "citations": None}, TEXTS),
    st.builds(
        lambda said: {"type": "tool_result", "tool_use_id": "t", "content": said}, TEXTS | st.lists(st.builds(text))
    ),
    st.builds(
        lambda said: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": said}},
        st.just("QUJD" * 90),
    ),
)
CONTENT = TEXTS | st.lists(BLOCKS, max_size=4)
MESSAGES = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(["user", "assistant"]), CONTENT)
    | st.builds(lambda content: {"content": content, "role": "user", "x": 1.0}, CONTENT),
    max_size=6,
)
TOOLS = st.lists(
    st.builds(
        lambda said, later: {"name": "n", "description": said, **({"defer_loading": True} if later else {})},
        TEXTS,
        st.booleans(),
    ),
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {"messages": MESSAGES},
    optional={"system": TEXTS | st.lists(st.builds(text, TEXTS), max_size=2), "tools": TOOLS, "top_k": ANY},
)
STYLES = st.sampled_from(
    [
        {"separators": (",", ":")},
        {"separators": (" , ", " : "), "indent": 1},
        {"ensure_ascii": False},
        {"indent": 3, "ensure_ascii": False},
    ]
)


def plain(value: Any) -> Any:
    """VALUE without marks, a text as the list of one block that it stands for."""
    if isinstance(value, dict):
        return {
            name: [text(inner)] if name in ("content", "system") and isinstance(inner, str) else plain(inner)
            for name, inner in value.items()
            if name != "cache_control"
        }
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def is_inside(original: bytes, longer: bytes) -> bool:
    """Whether bytes were put into ORIGINAL and none taken out."""
    rest = iter(longer)
    return all(byte in rest for byte in original)


@settings(max_examples=400, deadline=None)
@given(BODIES, STYLES, st.integers(1, 120))
def test_marks_are_put_in_and_nothing_else_changes(body: Any, style: dict[str, Any], tokens_min: int) -> None:
    raw = json.dumps(body, **style).encode()
    fields = members.parse(raw)
    found = find_prefixes(fields, len(raw), tokens_min)
    if found is None:
        return
    after = found.mark(found.found)
    decoded = msgspec.json.decode(members.encode(after))
    assert members.encode(after).count(MARK_BYTES) <= 4
    assert list(after) == list(fields)
    assert plain(decoded) == plain(body)
    for name, value in fields.items():
        assert is_inside(bytes(value), bytes(after[name]))
        assert MARK_BYTES in bytes(after[name]) or after[name] == value
    assert members.parse(raw) == fields


@settings(max_examples=300, deadline=None)
@given(BODIES, STYLES, st.integers(1, 120))
def test_no_prefix_is_shorter_than_the_least_length(body: Any, style: dict[str, Any], tokens_min: int) -> None:
    raw = json.dumps(body, **style).encode()
    found = find_prefixes(members.parse(raw), len(raw), tokens_min)
    for prefix in found.found if found else ():
        assert prefix.size_bytes >= tokens_min * BYTES_PER_TOKEN_MOST


@settings(max_examples=300, deadline=None)
@given(st.recursive(ANY, lambda inner: st.dictionaries(st.sampled_from(["role", "content", "type"]), inner)))
def test_whatever_a_caller_sends_there_is_no_error(anything: Any) -> None:
    for body in ({"messages": anything}, {"messages": [anything], "tools": anything, "system": anything}):
        raw = json.dumps(body).encode()
        fields = members.parse(raw)
        found = find_prefixes(fields, len(raw), 1)
        if found is not None:
            members.parse(members.encode(found.mark(found.found)))
