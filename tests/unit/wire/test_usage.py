import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.kit.usage import Usage
from hypereal.wire.profiles import PROFILES
from hypereal.wire.usage import TOKENS_MAX, chat_usage, gemini_usage, messages_usage, responses_usage
from hypereal.wire.usage_blocks import ChatUsage, GeminiUsage, MessagesUsage, ResponsesUsage

PLAIN = PROFILES["openai"]


def chat(said: dict[str, object], profile: str = "openai") -> Usage | None:
    return chat_usage(msgspec.convert(said, ChatUsage), PROFILES[profile])


def messages(*parts: dict[str, object]) -> Usage | None:
    return messages_usage([msgspec.convert(part, MessagesUsage) for part in parts])


@pytest.mark.parametrize(
    "named",
    [
        {"prompt_tokens_details": {"cached_tokens": 30}},
        {"cached_tokens": 30},
        {"prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 70},
    ],
)
def test_cached_tokens_are_taken_out_of_the_prompt_however_a_vendor_names_them(named: dict[str, object]) -> None:
    assert chat({"prompt_tokens": 100, "completion_tokens": 5, **named}) == Usage(
        input_tokens=70, cache_read_tokens=30, output_tokens=5
    )


def test_a_vendor_that_names_the_same_cache_twice_is_counted_once() -> None:
    said = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}
    assert chat({**said, "prompt_tokens_details": {"cached_tokens": 4}}) == chat(said)


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_input_tokens"])
def test_cache_writes_are_taken_out_of_the_prompt(name: str) -> None:
    usage = chat({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {name: 60}})
    assert usage == Usage(input_tokens=40, cache_write_tokens=60, output_tokens=5)


@pytest.mark.parametrize(("total", "output"), [(115, 15), (None, 15), (105, 5)])
def test_xai_reasoning_is_added_unless_the_total_shows_it_is_in(total: int | None, output: int) -> None:
    said = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": total}
    usage = chat(said | {"completion_tokens_details": {"reasoning_tokens": 10}}, "xai")
    assert usage is not None
    assert (usage.output_tokens, usage.input_tokens) == (output, 100)


def test_reasoning_is_a_part_of_the_output_everywhere_else() -> None:
    said = {"prompt_tokens": 1, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 40}}
    assert chat(said) == Usage(input_tokens=1, output_tokens=50, reasoning_tokens=40)


def test_a_cache_larger_than_the_prompt_stands_beside_it() -> None:
    said = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 64}}
    assert chat(said, "xai") == Usage(input_tokens=10, cache_read_tokens=64, output_tokens=1)


@pytest.mark.parametrize("count", [-1, TOKENS_MAX + 1, 10**30])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "cached_tokens"])
def test_absurd_counts_are_no_usage(name: str, count: int) -> None:
    assert chat({"prompt_tokens": 10, "completion_tokens": 5, name: count}) is None


def test_a_block_of_zeros_is_no_usage() -> None:
    """Relays write one where they do not know; an answer always has tokens."""
    assert chat({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}) is None
    assert messages({"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}) is None
    assert gemini_usage(GeminiUsage(prompt_token_count=0, candidates_token_count=0)) is None


def test_responses_counts_exclude_each_other() -> None:
    said = ResponsesUsage(input_tokens=100, output_tokens=9, total_tokens=109)
    assert responses_usage(said, 2, PLAIN) == Usage(input_tokens=100, output_tokens=9, web_searches=2)


def test_messages_counts_stand_beside_each_other() -> None:
    creation = {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6}
    usage = messages(
        {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 11}
        | {"cache_creation": creation, "server_tool_use": {"web_search_requests": 3}}
    )
    assert usage == Usage(
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=4,
        cache_write_tokens=5,
        cache_write_1h_tokens=6,
        web_searches=3,
    )


def test_of_messages_parts_the_last_word_counts_field_by_field() -> None:
    usage = messages(
        {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 7}, {"input_tokens": 12, "output_tokens": 30}
    )
    assert usage == Usage(input_tokens=12, cache_read_tokens=7, output_tokens=30)


def test_a_last_part_of_zeros_does_not_unsay_the_input() -> None:
    usage = messages({"input_tokens": 9, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 30})
    assert usage == Usage(input_tokens=9, output_tokens=30)


@pytest.mark.parametrize(
    "part", [{}, {"input_tokens": 3}, {"output_tokens": 3}, {"input_tokens": -1, "output_tokens": 1}]
)
def test_messages_without_input_or_output_have_no_usage(part: dict[str, object]) -> None:
    assert messages(part) is None


def test_gemini_adds_thoughts_and_takes_the_cache_out() -> None:
    said = GeminiUsage(
        prompt_token_count=100,
        candidates_token_count=9,
        thoughts_token_count=30,
        cached_content_token_count=64,
        tool_use_prompt_token_count=5,
    )
    assert gemini_usage(said) == Usage(input_tokens=41, cache_read_tokens=64, output_tokens=39, reasoning_tokens=30)


def test_gemini_without_any_output_count_is_no_usage() -> None:
    assert gemini_usage(GeminiUsage(prompt_token_count=7)) is None
    assert gemini_usage(GeminiUsage(prompt_token_count=7, total_token_count=7)) == Usage(input_tokens=7)


counts = st.integers(0, 10**6)


@settings(deadline=None)
@given(st.sampled_from(sorted(PROFILES)), counts, counts, counts, counts, counts)
def test_no_vendor_is_ever_counted_below_what_it_said(
    profile: str, prompt: int, completion: int, cached: int, written: int, reasoning: int
) -> None:
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    said = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}
    usage = chat(said | {"completion_tokens_details": {"reasoning_tokens": reasoning}}, profile)
    if usage is None:
        assert not any((prompt, completion, cached, written, reasoning))
        return
    assert usage.input_tokens_total >= prompt
    assert usage.output_tokens >= completion
    assert min(usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) >= 0
    assert usage.reasoning_tokens <= usage.output_tokens
