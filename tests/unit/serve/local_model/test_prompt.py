"""What agents send, as turns of text, and how they are cut to the window."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.serve.local_model import prompt
from hypereal.serve.local_model.prompt import Turn


def read(dialect: Dialect, **fields: object) -> prompt.Asked:
    return prompt.read(dialect, msgspec.json.encode(fields))


def said(asked: prompt.Asked) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in asked.turns]


def test_calls_and_results_of_chat_are_told_as_text() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "ls", "arguments": '{"a":1}'}}
    asked = read(
        Dialect.OPENAI_CHAT,
        messages=[
            {"role": "developer", "content": "Rules."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "a.txt"},
        ],
    )
    assert said(asked) == [("system", "Rules."), ("assistant", '[used ls with {"a":1}]'), ("user", "a.txt")]


def test_items_without_a_type_are_messages() -> None:
    asked = read(Dialect.OPENAI_RESPONSES, instructions="Rules.", input=[{"role": "user", "content": "hi"}])
    assert said(asked) == [("system", "Rules."), ("user", "hi")]


def test_items_without_text_are_left_out() -> None:
    items = [
        {"type": "reasoning", "content": None},
        {"type": "item_reference", "id": "x"},
        {"role": "user", "content": "hi"},
    ]
    assert said(read(Dialect.OPENAI_RESPONSES, input=items)) == [("user", "hi")]


def test_images_in_a_tool_result_are_refused() -> None:
    block = {"type": "tool_result", "content": [{"type": "image", "source": {}}]}
    with pytest.raises(InvalidRequest, match="text only"):
        read(Dialect.ANTHROPIC_MESSAGES, messages=[{"role": "user", "content": [block]}])


@pytest.mark.parametrize(
    ("given", "limit", "is_callers"), [(None, 512, False), (5, 5, True), (1024, 1024, True), (32000, 1024, False)]
)
def test_the_answer_is_always_bounded(given: int | None, limit: int, is_callers: bool) -> None:
    asked = read(Dialect.ANTHROPIC_MESSAGES, messages=[{"role": "user", "content": "hi"}], max_tokens=given)
    assert (asked.output_tokens_max, asked.is_callers_limit) == (limit, is_callers)


@pytest.mark.parametrize("given", [0, -1, "5", 1.5])
def test_a_limit_that_is_no_count_is_refused(given: object) -> None:
    with pytest.raises(InvalidRequest, match="max_output_tokens"):
        read(Dialect.OPENAI_RESPONSES, input="hi", max_output_tokens=given)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"\xff": 1}', b'{"messages": "' + b"[" * 10, b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a JSON object"):
        prompt.read(Dialect.OPENAI_CHAT, body)


TURNS = st.lists(st.builds(Turn, role=st.sampled_from(["user", "assistant"]), text=st.text(min_size=1)), max_size=8)


@given(turns=TURNS, keep=st.integers(0, 60))
def test_what_is_kept_is_the_head_and_the_tail(turns: list[Turn], keep: int) -> None:
    whole = "".join(turn.text for turn in turns)
    kept = "".join(turn.text for turn in prompt.shorten(turns, keep)).replace(prompt.CUT, "")
    if len(whole) <= keep:
        assert kept == whole
    else:
        tail = keep - keep // 3
        assert kept == whole[: keep // 3] + (whole[-tail:] if tail else "")


@given(turns=TURNS, tokens_max=st.integers(20, 60))
def test_a_prompt_fits_whatever_a_token_is(turns: list[Turn], tokens_max: int) -> None:
    async def count(turns: Sequence[Turn]) -> int:
        return sum(len(turn.text.encode()) for turn in turns)

    fitting, was_cut = asyncio.run(prompt.fit(turns, tokens_max, count))
    assert asyncio.run(count(fitting)) <= tokens_max
    assert was_cut == (list(fitting) != turns)
