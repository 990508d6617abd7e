"""The caller's own user and tags, in the shape of each format, bounded, and never a reason to refuse."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.dialects import Dialect
from hypereal.wire import DIALECTS, tags_of
from hypereal.wire.tags import BYTES_MAX, NAME_CHARS_MAX, PAIRS_MAX, USER_CHARS_MAX, VALUE_CHARS_MAX

LEAST = {
    Dialect.OPENAI_CHAT: {"model": "m", "messages": []},
    Dialect.OPENAI_RESPONSES: {"model": "m", "input": "x"},
    Dialect.ANTHROPIC_MESSAGES: {"model": "m", "messages": [], "max_tokens": 5},
    Dialect.GEMINI: {"model": "m", "contents": []},
}
OPENAI = (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES)


def tags(dialect: Dialect, **members: object) -> object:
    return tags_of(DIALECTS[dialect].read(json.dumps(LEAST[dialect] | members).encode()))


@pytest.mark.parametrize("dialect", Dialect)
def test_nothing_said_is_nothing_kept(dialect):
    assert tags(dialect) == (None, None)


@pytest.mark.parametrize("dialect", OPENAI)
def test_openai_callers_say_user_and_metadata(dialect):
    assert tags(dialect, user="ada", metadata={"team": "blue"}) == ("ada", {"team": "blue"})
    assert tags(dialect, user="ada") == ("ada", None)
    assert tags(dialect, metadata={"team": "blue"}) == (None, {"team": "blue"})


def test_messages_callers_say_user_in_metadata():
    assert tags(Dialect.ANTHROPIC_MESSAGES, metadata={"user_id": "user_1_session_2"}) == ("user_1_session_2", None)
    assert tags(Dialect.ANTHROPIC_MESSAGES, metadata={}) == (None, None)


@pytest.mark.parametrize("wrong", [None, "", {}, [], 5, {"a": 5}, {"user_id": 5}, {"a": {"b": "c"}}])
@pytest.mark.parametrize("dialect", Dialect)
def test_what_is_not_of_the_shape_is_left_alone(dialect, wrong):
    assert tags(dialect, metadata=wrong) == (None, None)
    if not isinstance(wrong, str):
        assert tags(dialect, user=wrong) == (None, None)


def test_tags_are_cut_to_their_bounds():
    user, pairs = tags(
        Dialect.OPENAI_CHAT, user="u" * 999, metadata={f"{n:03d}" + "k" * 99: "v" * 999 for n in range(20)}
    )
    assert user == "u" * USER_CHARS_MAX
    assert len(pairs) == PAIRS_MAX
    assert {len(name) for name in pairs} == {NAME_CHARS_MAX}
    assert {len(value) for value in pairs.values()} == {VALUE_CHARS_MAX}
    assert tags(Dialect.OPENAI_CHAT, user="u" * (BYTES_MAX + 1)) == (None, None)


@given(st.dictionaries(st.text(), st.text(), max_size=20), st.text())
def test_any_text_can_be_kept(metadata, user):
    kept_user, kept = tags(Dialect.OPENAI_CHAT, metadata=metadata, user=user)
    json.dumps([kept_user, kept]).encode()
    assert (kept_user or "") == user[:USER_CHARS_MAX]
