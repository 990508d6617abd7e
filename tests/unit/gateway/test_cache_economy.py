"""What a key's traffic costs with marks: never much more than without, and far less where it repeats."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.anthropic_cache import AnthropicCache

from hypereal import catalog, providers
from hypereal.catalog import price_of
from hypereal.gateway import cache_economy
from hypereal.gateway.cache_economy import (
    ALLOWANCE_TOKENS,
    LOSS_PERCENT,
    TTL_S,
    CacheEconomy,
    report,
    report_lines,
)
from hypereal.kit.ids import KeyId
from hypereal.kit.usage import Usage
from hypereal.wire import Place, Prefix, find_prefixes, members

KEY = KeyId("key_1")
NAME = (KEY, "claude-opus-4-6")
_known = providers.load({}, {}, Path("/run/local.sock"))
MODEL = catalog.load({}, {name: frozenset(row.base_urls) for name, row in _known.items()}).models[NAME[1]]
assert MODEL.price is not None and MODEL.cache_tokens_min is not None
PRICE, TOKENS_MIN = MODEL.price, MODEL.cache_tokens_min


def prefix(name: int, place: Place = Place.SYSTEM, size_bytes: int = 40_000) -> Prefix:
    return Prefix(place, name, size_bytes)


def chosen(economy: CacheEconomy, found: list[Prefix], at_s: float, usage: Usage | None = None) -> list[Place]:
    """The places that are marked for a request with the prefixes FOUND, which then consumes USAGE."""
    plan = economy.plan(NAME, found, PRICE, at_s)
    economy.settle(plan, usage)
    return [one.place for one in plan.prefixes]


class Session:
    """One key's traffic with and without marks."""

    def __init__(self, vendor: Any = None) -> None:
        self.economy = CacheEconomy()
        self.vendor = vendor or AnthropicCache(TOKENS_MIN, count=lambda text: -(-len(text) // 4))
        self.off = self.on = self.marks = self.largest = 0

    def ask(self, body: Any, at_s: float) -> None:
        raw = json.dumps(body).encode()
        fields = members.parse(raw)
        found = find_prefixes(fields, len(raw), TOKENS_MIN)
        plan = None if found is None else self.economy.plan(NAME, found.found, PRICE, at_s)
        if found is not None and plan is not None:
            fields = found.mark(plan.prefixes)
            self.marks += len(plan.prefixes)
        said = self.vendor.ask(msgspec.json.decode(members.encode(fields)), at_s)
        usage = Usage(
            input_tokens=said.input_tokens,
            cache_read_tokens=said.read_tokens,
            cache_write_tokens=said.write_5m_tokens,
            cache_write_1h_tokens=said.write_1h_tokens,
        )
        if plan is not None:
            self.economy.settle(plan, usage)
        self.on += price_of(PRICE, usage)
        self.off += price_of(PRICE, Usage(input_tokens=usage.input_tokens_total))
        self.largest = max(self.largest, usage.input_tokens_total)

    @property
    def bound(self) -> float:
        """In micro-credits: what the docstring of the module promises."""
        surcharge = (PRICE.cache_write - PRICE.input) / 1_000_000
        return self.off * (1 + LOSS_PERCENT / 100) + (ALLOWANCE_TOKENS + 2 * self.largest) * surcharge


def turns(count: int, name: str = "a", size: int = 3_000) -> list[Any]:
    """The requests of a conversation that grows."""
    messages = [{"role": "user", "content": f"{name} begins " * size}]
    bodies = []
    for number in range(count):
        bodies.append({"system": "s " * 20_000, "messages": list(messages)})
        messages.append({"role": "assistant", "content": f"{name} says {number} " * 100})
        messages.append({"role": "user", "content": f"{name} asks {number} " * 100})
    return bodies


# -- what is marked ----------------------------------------------------------------------------------------------------


def test_nothing_is_marked_before_it_came_again() -> None:
    economy = CacheEconomy()
    first = [prefix(1), prefix(2, Place.END)]
    assert chosen(economy, first, 0) == []
    assert chosen(economy, [prefix(1), prefix(3, Place.END)], 9) == [Place.SYSTEM]


def test_the_end_is_marked_once_the_conversation_grew() -> None:
    economy = CacheEconomy()
    chosen(economy, [prefix(1), prefix(2, Place.END)], 0)
    grown = [prefix(1), prefix(2, Place.TURN), prefix(3, Place.END)]
    assert chosen(economy, grown, 9) == [Place.SYSTEM, Place.TURN, Place.END]


def test_examples_before_each_question_are_marked_but_no_question_is() -> None:
    economy = CacheEconomy()
    for question in range(5):
        found = [prefix(1, Place.TURN), prefix(100 + question, Place.END)]
        assert chosen(economy, found, question) == ([Place.TURN] if question else [])


def test_what_comes_again_only_after_its_life_is_not_marked() -> None:
    economy = CacheEconomy()
    assert [chosen(economy, [prefix(1)], number * TTL_S) for number in range(5)] == [[]] * 5


def test_a_pause_does_not_stop_a_conversation_that_mostly_goes_on() -> None:
    economy = CacheEconomy()
    chosen(economy, [prefix(1)], 0)
    for at_s in (9, 18):
        chosen(economy, [prefix(1)], at_s)
    assert chosen(economy, [prefix(1)], 5_000) == [Place.SYSTEM]
    for number in range(1, 6):
        chosen(economy, [prefix(1)], 5_000 * (number + 1))
    assert chosen(economy, [prefix(1)], 50_000) == []


def test_keys_and_models_have_accounts_of_their_own() -> None:
    economy = CacheEconomy()
    economy.plan(NAME, [prefix(1)], PRICE, 0)
    assert economy.plan((KeyId("key_2"), NAME[1]), [prefix(1)], PRICE, 1).prefixes == []
    assert economy.plan((KEY, "claude-haiku-4-5"), [prefix(1)], PRICE, 1).prefixes == []
    assert economy.plan(NAME, [prefix(1)], PRICE, 1).prefixes == [prefix(1)]


def test_calls_in_flight_count_as_lost_until_they_are_settled() -> None:
    economy = CacheEconomy()
    large = prefix(1, size_bytes=600_000)
    economy.plan(NAME, [large], PRICE, 0)
    in_flight = [economy.plan(NAME, [large], PRICE, 1) for _ in range(5)]
    assert [len(plan.prefixes) for plan in in_flight] == [1, 0, 0, 0, 0]
    for plan in in_flight:
        economy.settle(plan, None)
    assert economy.plan(NAME, [large], PRICE, 2).prefixes == [large]


def test_a_cache_that_takes_writes_and_gives_nothing_is_given_up_until_the_input_makes_up_for_it() -> None:
    """A relay whose calls reach another workspace each time."""

    class Forgetful(AnthropicCache):
        def ask(self, body: Any, now_s: float) -> Any:
            self._entries.clear()
            return super().ask(body, now_s)

    session = Session(Forgetful(TOKENS_MIN))
    for number, body in enumerate(turns(150)):
        session.ask(body, number * 10.0)
    assert session.on <= session.bound
    assert 0 < session.marks < 40


def test_a_key_that_was_given_up_is_taken_on_again_when_its_traffic_repeats() -> None:
    session = Session()
    for number in range(60):
        for at_s, body in enumerate(turns(2, f"short {number}", size=6_000)):
            session.ask({**body, "system": ""}, number * 20.0 + at_s)
    assert session.on > session.off
    lost = session.on - session.off
    for number, body in enumerate(turns(60)):
        session.ask(body, 2_000 + number * 10.0)
    assert session.off - session.on > 10 * lost


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_a_session_costs_a_quarter_at_most() -> None:
    session = Session()
    for number, body in enumerate(turns(40)):
        session.ask(body, number * 20.0)
    assert session.on <= session.off / 4


def test_two_sessions_at_once_cost_a_quarter_at_most() -> None:
    session = Session()
    for number, pair in enumerate(zip(turns(40, "a"), turns(40, "b"), strict=True)):
        for body in pair:
            session.ask(body, number * 20.0)
    assert session.on <= session.off / 4


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60_000), st.integers(0, 400)), max_size=25, unique_by=lambda ask: ask[0]))
def test_traffic_without_repetition_costs_what_it_costs_without_marks(asks: Any) -> None:
    session, at_s = Session(), 0
    for size, gap_s in asks:
        at_s += gap_s
        session.ask({"system": f"{size} " * 9_000, "messages": [{"role": "user", "content": f"{size} " * size}]}, at_s)
    assert session.marks == 0
    assert session.on == session.off


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # which conversation
        st.sampled_from(["grow", "grow", "again", "restart", "other"]),
        st.sampled_from([1, 5, 60, 299, 301, 900]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([3_000, 12_000, 40_000]))
def test_no_traffic_costs_more_than_the_bound(steps: Any, size: int) -> None:
    session, at_s = Session(), 0
    conversations: dict[int, list[Any]] = {}
    for number, (which, move, gap_s) in enumerate(steps):
        at_s += gap_s
        messages = conversations.setdefault(which, [{"role": "user", "content": f"{which} {number} " * size}])
        if move == "grow":
            messages += [
                {"role": "assistant", "content": f"{number} " * 200},
                {"role": "user", "content": f"{number} " * 400},
            ]
        elif move == "restart":
            conversations[which] = messages = [{"role": "user", "content": f"{which} {number} " * size}]
        elif move == "other":
            messages = [{"role": "user", "content": f"{number} {at_s} " * size}]
        session.ask({"messages": messages}, at_s)
        assert session.on <= session.bound


# -- bounds and the report ---------------------------------------------------------------------------------------------


def test_memory_is_bounded_by_key_and_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_economy, "ACCOUNT_PREFIXES_MAX", 10)
    monkeypatch.setattr(cache_economy, "PREFIXES_MAX", 25)
    economy = CacheEconomy()
    for key in range(50):
        for number in range(20):
            economy.plan((KeyId(f"key_{key}"), "m"), [prefix(number)], PRICE, number)
            sizes = [len(account.seen) for account in economy._accounts.values()]
            assert max(sizes) <= 10
            assert sum(sizes) == economy._prefixes <= 25
            assert min(sizes) > 0
    assert list(economy._accounts)[-1] == (KeyId("key_49"), "m")


def test_a_report_says_what_the_cache_did() -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=1_000_000, cache_write_tokens=100_000, output_tokens=7)
    said = report(usage, PRICE)
    assert (said.read_tokens, said.written_tokens) == (1_000_000, 100_000)
    assert said.saved == 360_000_000 - 10_000_000
    assert report_lines(said) == (
        "x-hypereal-cache-read-tokens: 1000000\r\n"
        "x-hypereal-cache-written-tokens: 100000\r\n"
        "x-hypereal-cache-saved-credits: 350\r\n"
    )


def test_a_report_counts_writes_of_both_lives_and_says_a_loss() -> None:
    said = report(Usage(cache_write_tokens=10_000, cache_write_1h_tokens=10_000), PRICE)
    assert said.written_tokens == 20_000
    assert said.saved == -1_000_000 - 4_000_000
    assert "saved-credits: -5\r\n" in report_lines(said)
