"""The simulation of Anthropic's cache keeps the vendor's rules, and refuses nothing that we mark."""

import json
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.anthropic_cache import AnthropicCache, Refused
from tests.support.background import Background
from tests.support.upstream import Upstream

from hypereal.wire import find_prefixes, members

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
SIZE = 400


def text(name: str, mark: Any = None, size: int = SIZE) -> dict[str, Any]:
    block = {"type": "text", "text": f"{name} " * size}
    return block if mark is None else {**block, "cache_control": mark}


def body(*blocks: Any, **rest: Any) -> dict[str, Any]:
    return {"model": "m", **rest, "messages": [{"role": "user", "content": list(blocks)}]}


@pytest.fixture
def cache() -> AnthropicCache:
    return AnthropicCache(tokens_min=100)


def test_what_is_written_is_read_by_who_begins_alike(cache: AnthropicCache) -> None:
    first = cache.ask(body(text("a", MARK), text("b")), 0)
    assert (first.read_tokens, first.write_1h_tokens) == (0, 0)
    assert first.write_5m_tokens > 100
    again = cache.ask(body(text("a", MARK), text("c")), 1)
    assert (again.read_tokens, again.write_5m_tokens) == (first.write_5m_tokens, 0)
    assert again.input_tokens == first.input_tokens


def test_unmarked_requests_neither_read_nor_write(cache: AnthropicCache) -> None:
    cache.ask(body(text("a", MARK)), 0)
    assert cache.ask(body(text("a")), 1).read_tokens == 0


@pytest.mark.parametrize(
    "other",
    [
        body(text("x"), text("b", MARK)),
        body(text("a"), text("b", MARK), model="n"),
        body(text("a"), text("b", MARK), tools=[{"name": "t"}]),
        body(text("a"), text("b", MARK), system="s"),
        body(text("a"), text("b", MARK), tool_choice={"type": "any"}),
        body(text("a"), text("b", MARK), thinking={"type": "adaptive"}),
        body(text("a"), text("b", MARK), {"type": "image", "source": {}}),
    ],
)
def test_another_beginning_is_another_prefix(cache: AnthropicCache, other: Any) -> None:
    cache.ask(body(text("a"), text("b", MARK)), 0)
    assert cache.ask(other, 1).read_tokens == 0


def test_the_system_text_stays_where_only_messages_change(cache: AnthropicCache) -> None:
    system = [text("s", MARK)]
    written = cache.ask(body(text("a"), system=system), 0).write_5m_tokens
    assert cache.ask(body(text("b"), system=system, tool_choice={"type": "any"}), 1).read_tokens == written
    assert cache.ask(body(text("b"), system=system, speed="fast"), 1).read_tokens == 0


def test_a_text_is_a_block_of_itself(cache: AnthropicCache) -> None:
    first = {"model": "m", "system": "s" * SIZE, "messages": [{"role": "user", "content": "a" * SIZE}]}
    cache.ask({**first, "cache_control": MARK}, 0)
    marked = {"type": "text", "text": "a" * SIZE, "cache_control": MARK}
    assert cache.ask({**first, "messages": [{"role": "user", "content": [marked]}]}, 1).input_tokens == 0


@pytest.mark.parametrize(("between", "is_found"), [(18, True), (19, False)])
def test_a_mark_looks_back_over_20_blocks(cache: AnthropicCache, between: int, is_found: bool) -> None:
    cache.ask(body(text("a", MARK)), 0)
    more = [text(f"b{number}", size=1) for number in range(between)]
    assert (cache.ask(body(text("a"), *more, text("c", MARK)), 1).read_tokens > 0) == is_found


def test_an_entry_lives_five_minutes_from_its_last_use(cache: AnthropicCache) -> None:
    asked = body(text("a", MARK))
    cache.ask(asked, 0)
    assert cache.ask(asked, 299).read_tokens
    assert cache.ask(asked, 598).read_tokens
    assert cache.ask(asked, 898).write_5m_tokens


def test_an_hour_costs_as_an_hour_and_lasts_one(cache: AnthropicCache) -> None:
    asked = body(text("a", HOUR), text("b", MARK))
    first = cache.ask(asked, 0)
    assert first.write_1h_tokens > 0 < first.write_5m_tokens
    later = cache.ask(asked, 3_599)
    assert (later.read_tokens, later.write_5m_tokens) == (first.write_1h_tokens, first.write_5m_tokens)


def test_below_the_least_length_nothing_happens(cache: AnthropicCache) -> None:
    for _ in range(2):
        answered = cache.ask(body(text("a", MARK, size=10)), 0)
        assert (answered.read_tokens, answered.write_5m_tokens) == (0, 0)


def test_an_entry_can_be_read_once_its_answer_has_begun() -> None:
    cache = AnthropicCache(tokens_min=100, first_byte_s=2)
    cache.ask(body(text("a", MARK)), 0)
    assert cache.ask(body(text("a", MARK)), 1).read_tokens == 0
    assert cache.ask(body(text("a", MARK)), 4).read_tokens > 0


@pytest.mark.parametrize(
    "wrong",
    [
        body(*(text(name, MARK) for name in "abcde")),
        body(text("a", MARK), text("b", MARK), text("c", MARK), text("d", MARK), text("e"), cache_control=MARK),
        body(text("a", MARK), text("b", HOUR)),
        body({"type": "thinking", "thinking": "x", "cache_control": MARK}),
        body({"type": "text", "text": "", "cache_control": MARK}),
        body(text("a"), tools=[{"name": "t", "defer_loading": True, "cache_control": MARK}]),
    ],
)
def test_what_the_vendor_refuses_is_refused(cache: AnthropicCache, wrong: Any) -> None:
    with pytest.raises(Refused):
        cache.ask(wrong, 0)


def test_behind_the_scripted_upstream_usage_and_refusals_are_the_caches(cache: AnthropicCache) -> None:
    background = Background()
    upstream = Upstream(background)
    try:
        upstream.answer_all(cache.answers(lambda: 0.0))
        with httpx2.Client(base_url=upstream.url) as client:
            asked = body(text("a", MARK), text("b"))
            said = [client.post("/v1/messages", json=asked).json()["usage"] for _ in range(2)]
            assert said[0]["cache_creation_input_tokens"] == said[1]["cache_read_input_tokens"] > 100
            stream = client.post("/v1/messages", json={**asked, "stream": True}).text
            assert f'"cache_read_input_tokens":{said[1]["cache_read_input_tokens"]}' in stream.replace(" ", "")
            assert client.post("/v1/messages", json=body(*(text(name, MARK) for name in "abcde"))).status_code == 400
    finally:
        upstream.close()
        background.close()


WORDS = st.sampled_from(["", " ", "a", "long " * 60, "longer " * 90])
BLOCK = st.one_of(
    st.builds(lambda said: {"type": "text", "text": said}, WORDS),
    st.builds(lambda said: {"type": "thinking", "thinking": said, "signature": "s"}, WORDS),
    st.builds(lambda said: {"type": "redacted_thinking", "data": said}, WORDS),
    st.builds(lambda said: {"type": "tool_use", "id": "t", "name": "n", "input": {"a": said}}, WORDS),
    st.builds(lambda said: {"type": "tool_result", "tool_use_id": "t", "content": said}, WORDS),
)
CONTENT = WORDS | st.lists(BLOCK, max_size=3)
QUESTION = st.sampled_from(["a", "long " * 60]) | st.builds(
    lambda blocks: [text("q", size=1), *blocks], st.lists(BLOCK)
)
TURNS = st.lists(st.tuples(CONTENT, QUESTION), min_size=1, max_size=8)
TOOL = st.builds(lambda said, later: {"name": "n", "description": said, "defer_loading": later}, WORDS, st.booleans())
SYSTEM = WORDS | st.lists(st.builds(lambda said: {"type": "text", "text": said}, WORDS), max_size=2)


@settings(max_examples=300, deadline=None)
@given(TURNS, st.lists(TOOL, max_size=3), SYSTEM, st.integers(1, 200))
def test_nothing_that_we_mark_is_refused_and_a_conversation_reads_its_turn_before(
    turns: Any, tools: Any, system: Any, tokens_min: int
) -> None:
    cache = AnthropicCache(tokens_min, count=lambda said: -(-len(said) // 3))
    messages: list[Any] = []
    before = 0
    for answer, question in turns:
        messages = [*messages, *([{"role": "assistant", "content": answer}] if messages else [])]
        messages.append({"role": "user", "content": question})
        raw = json.dumps({"model": "m", "tools": tools, "system": system, "messages": messages}).encode()
        fields = members.parse(raw)
        found = find_prefixes(fields, len(raw), tokens_min)
        if found is not None:
            fields = found.mark(found.found)
        answered = cache.ask(msgspec.json.decode(members.encode(fields)), 0)
        assert answered.read_tokens >= before
        before = answered.read_tokens + answered.write_5m_tokens
