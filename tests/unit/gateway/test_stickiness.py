"""One conversation, one target: while that is healthy, and in every process alike."""

import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hypereal import catalog, providers
from hypereal.gateway import stickiness
from hypereal.gateway.faults import BROKEN
from hypereal.gateway.health import FAILURES_MAX
from hypereal.gateway.routing import Pools, Routing, Way
from hypereal.gateway.stickiness import AWAY_S_MAX, IDLE_S, Stickiness, fingerprint, fingerprint_of_answer
from hypereal.kit.dialects import Dialect
from hypereal.kit.ids import KeyId
from hypereal.wire import DIALECTS

SCOPE = (KeyId("key_1"), "m")
CHAT, RESPONSES, MESSAGES, GEMINI = (
    Dialect.OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES,
    Dialect.ANTHROPIC_MESSAGES,
    Dialect.GEMINI,
)


def ways(*targets: Any) -> tuple[Way, ...]:
    known = providers.load({}, {"OPENAI_API_KEY": "k", "TOAPIS_API_KEY": "k", "OPENROUTER_API_KEY": "k"}, Path("/s"))
    own = {"m": {"targets": list(targets), "price": {"input": 1, "output": 2}}}
    models = catalog.load(own, {name: frozenset(row.base_urls) for name, row in known.items()})
    return Routing(known, Pools(ssl.create_default_context())).ways(models.models["m"], CHAT)


def shared(*weights: int) -> tuple[Way, ...]:
    names = ["openai:m", "toapis:m", "openrouter:m"]
    return ways(*({"target": name, "weight": weight} for name, weight in zip(names, weights, strict=False)))


def names(found: tuple[Way, ...]) -> list[str]:
    return [way.target.provider.name for way in found]


def mark_of(
    dialect: Dialect, body: dict[str, Any], scope: tuple[KeyId, str] = SCOPE, **headers: str
) -> stickiness.Fingerprint:
    fields = {name.replace("__", "-").encode(): value.encode() for name, value in headers.items()}
    request = DIALECTS[dialect].read(json.dumps({"model": "m", **body}).encode())
    return fingerprint(request, scope, lambda name: fields.get(name, b""))


def many(count: int) -> list[bytes]:
    return [fingerprint_of_answer(SCOPE, f"resp_{number}") for number in range(count)]


# -- which conversation ------------------------------------------------------------------------------------------------

FIRST = {"role": "user", "content": "Write a parser."}
MORE = [FIRST, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "Test it."}]
STARTS = [
    (
        CHAT,
        {"messages": [{"role": "system", "content": "s"}, FIRST]},
        {"messages": [{"role": "system", "content": "s"}, *MORE]},
    ),
    (RESPONSES, {"input": [FIRST]}, {"input": MORE}),
    (
        MESSAGES,
        {"messages": [FIRST], "max_tokens": 5, "system": "s"},
        {"messages": MORE, "max_tokens": 9, "system": "s"},
    ),
    (
        GEMINI,
        {"contents": [{"role": "user", "parts": [{"text": "a"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": []}, {"parts": []}]},
    ),
]


@pytest.mark.parametrize(("dialect", "first", "later"), STARTS)
def test_a_conversation_without_a_name_is_known_by_how_it_starts(dialect: Dialect, first: Any, later: Any) -> None:
    assert mark_of(dialect, first) == mark_of(dialect, later)
    text = json.dumps(first)
    other = json.loads(text.replace("Write a parser.", "Write a lexer.").replace('"a"', '"b"'))
    assert mark_of(dialect, first) != mark_of(dialect, other)


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        (CHAT, {"prompt_cache_key": "c1"}),
        (RESPONSES, {"prompt_cache_key": "c1"}),
        (RESPONSES, {"conversation": {"id": "c1"}}),
        (CHAT, {"user": "u1"}),
        (MESSAGES, {"metadata": {"user_id": "u1"}, "max_tokens": 5}),
        (GEMINI, {"cachedContent": "cachedContents/c1"}),
    ],
)
def test_the_clients_own_name_tells_a_conversation(dialect: Dialect, name: dict[str, Any]) -> None:
    member = stickiness.CONVERSATION[dialect]
    one, other = [{"role": "user", "content": "a", "parts": []}], [{"role": "user", "content": "b", "parts": []}]
    assert mark_of(dialect, {**name, member: one}) == mark_of(dialect, {**name, member: other})
    assert mark_of(dialect, {**name, member: one}) != mark_of(
        dialect, {**json.loads(json.dumps(name).replace("1", "2")), member: one}
    )


@pytest.mark.parametrize(
    "header", ["x__claude__code__session__id", "session__id", "session_id", "x__session__id", "x__session__affinity"]
)
def test_a_session_header_tells_a_conversation(header: str) -> None:
    one, other = {"input": "a"}, {"input": "b"}
    assert mark_of(RESPONSES, one, **{header: "s1"}) == mark_of(RESPONSES, other, **{header: "s1"})
    assert mark_of(RESPONSES, one, **{header: "s1"}) != mark_of(RESPONSES, one, **{header: "s2"})


def test_the_closest_name_counts() -> None:
    body = {"input": "a", "prompt_cache_key": "c1", "user": "u1"}
    assert mark_of(RESPONSES, body, session_id="s1") == mark_of(RESPONSES, {**body, "user": "u2"}, session_id="s2")


def test_an_answer_is_continued_by_its_id() -> None:
    continued = {"input": "next", "previous_response_id": "resp_1"}
    assert mark_of(RESPONSES, continued) == fingerprint_of_answer(SCOPE, "resp_1")


def test_names_of_other_keys_and_models_are_other_conversations() -> None:
    body = {"input": "a", "prompt_cache_key": "c1"}
    scopes = [SCOPE, (KeyId("key_2"), "m"), (KeyId("key_1"), "n"), (KeyId("key_"), "1m")]
    assert len({mark_of(RESPONSES, body, scope) for scope in scopes}) == len(scopes)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [5]},
        {"messages": [{"role": 5}]},
        {"messages": [{"role": "assistant"}] * 20},
        {"messages": [FIRST], "user": None, "prompt_cache_key": 5, "conversation": []},
        {"messages": [FIRST], "tools": 5},
    ],
)
def test_requests_of_any_shape_have_a_fingerprint(body: dict[str, Any]) -> None:
    assert mark_of(CHAT, body) == mark_of(CHAT, body)


# -- which target ------------------------------------------------------------------------------------------------------


def test_one_way_is_the_way() -> None:
    only = ways("openai:m")
    assert Stickiness().order(only, many(1)[0], 0) is only


def test_targets_without_weights_keep_their_order() -> None:
    chain = ways("openai:m", "toapis:m")
    assert all(Stickiness().order(chain, mark, 0) is chain for mark in many(50))


def test_neighbours_with_weights_share_conversations_by_them() -> None:
    targets = shared(1, 3)
    firsts = Counter(names(Stickiness().order(targets, mark, 0))[0] for mark in many(4_000))
    assert 0.22 < firsts["openai"] / 4_000 < 0.28


def test_every_process_puts_a_conversation_at_the_same_target() -> None:
    here, there = shared(1, 1, 1), shared(1, 1, 1)
    for mark in many(50):
        assert names(Stickiness().order(here, mark, 0)) == names(Stickiness().order(there, mark, 9))


def test_a_target_more_moves_only_those_conversations_that_it_gets() -> None:
    two, three = shared(1, 1), shared(1, 1, 1)
    for mark in many(200):
        before, after = (names(Stickiness().order(targets, mark, 0)) for targets in (two, three))
        assert after[0] in (before[0], "openrouter")


def test_what_stands_before_and_behind_the_shared_ones_stays_there() -> None:
    chain = ways("openai:m", {"target": "toapis:m", "weight": 1}, {"target": "openrouter:m", "weight": 1}, "openai:n")
    orders = {tuple(names(Stickiness().order(chain, mark, 0))) for mark in many(50)}
    assert orders == {
        ("openai", "toapis", "openrouter", "openai"),
        ("openai", "openrouter", "toapis", "openai"),
    }


def test_a_conversation_stays_where_it_was_answered_while_that_is_healthy() -> None:
    chain, kept, mark = ways("openai:m", "toapis:m"), Stickiness(), many(1)[0]
    kept.remember(mark, "toapis:m", 0)
    assert names(kept.order(chain, mark, 1)) == ["toapis", "openai"]
    assert names(kept.order(chain, many(2)[1], 1)) == ["openai", "toapis"]
    for _ in range(FAILURES_MAX):
        chain[1].target.breaker.failed(BROKEN)
    assert names(kept.order(chain, mark, 1)) == ["openai", "toapis"]


def test_a_target_that_is_gone_is_forgotten_about() -> None:
    chain, kept, mark = ways("openai:m", "toapis:m"), Stickiness(), many(1)[0]
    kept.remember(mark, "zai:m", 0)
    assert kept.order(chain, mark, 1) is chain


def test_a_conversation_that_was_silent_for_an_hour_starts_anew() -> None:
    kept, mark = Stickiness(), many(1)[0]
    usual = kept.key(mark, "openai:m", 8, 0)
    kept.remember(mark, "openai:m", 0, key=(usual + 1) % 8)
    assert kept.key(mark, "openai:m", 8, IDLE_S) == (usual + 1) % 8
    assert kept.key(mark, "openai:m", 8, IDLE_S + 1) == usual


def test_a_conversation_that_a_failure_drove_away_comes_back_after_a_while() -> None:
    chain, kept, mark = ways("openai:m", "toapis:m"), Stickiness(), many(1)[0]
    for now_s in (0, AWAY_S_MAX / 2, AWAY_S_MAX):
        kept.remember(mark, "toapis:m", now_s)
        assert names(kept.order(chain, mark, now_s))[0] == "toapis"
    assert names(kept.order(chain, mark, AWAY_S_MAX + 1))[0] == "openai"


def test_memory_is_bounded_and_the_latest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stickiness, "KEPT_MAX", 3)
    chain, kept, marks = ways("openai:m", "toapis:m"), Stickiness(), many(5)
    for mark in [*marks, marks[2]]:
        kept.remember(mark, "toapis:m", 0)
    assert [names(kept.order(chain, mark, 1))[0] == "toapis" for mark in marks] == [False, False, True, True, True]


def test_a_conversation_keeps_to_one_of_a_providers_keys() -> None:
    kept = Stickiness()
    used = Counter(kept.key(mark, "openai:m", 4, 0) for mark in many(400))
    assert sorted(used) == [0, 1, 2, 3]
    assert min(used.values()) > 60
    mark = many(1)[0]
    assert kept.key(mark, "openai:m", 1, 0) == 0
    other = (kept.key(mark, "openai:m", 4, 0) + 1) % 4
    kept.remember(mark, "openai:m", 0, key=other)
    assert kept.key(mark, "openai:m", 4, 1) == other
    assert kept.key(mark, "openai:m", other, 1) < max(1, other)
