"""Pricing: never free, never dearer than its worst case, never cheaper for more."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.catalog import LongContext, Price, price_of, surcharged, worst_case
from hypereal.kit.money import Micro, Rate
from hypereal.kit.usage import Usage

INPUT_KINDS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
COUNTS = (*INPUT_KINDS, "output_tokens", "web_searches")
RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")

rates = st.integers(1, 10**10)
tokens = st.integers(0, 3_000_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Prices as the catalog makes them: tiers ascend and no rate falls."""
    base = {name: Rate(draw(rates)) for name in RATES}
    tiers = []
    for above in sorted(draw(st.sets(st.integers(1, 2_000_000), max_size=3))):
        last = tiers[-1] if tiers else None
        grown = {n: Rate((getattr(last, n) if last else base[n]) + draw(st.integers(0, 10**9))) for n in RATES}
        tiers.append(LongContext(above_tokens=above, **grown))
    return Price(version="v", web_search=Micro(draw(rates)), long_context=tuple(tiers), **base)


usages = st.builds(Usage, **dict.fromkeys(INPUT_KINDS, tokens), output_tokens=tokens, web_searches=st.integers(0, 20))


@given(prices(), usages, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 5))
def test_worst_case_covers_every_usage_within_its_bounds(
    price: Price, usage: Usage, more_input: int, more_output: int, more_searches: int
) -> None:
    most = worst_case(
        price,
        usage.input_tokens_total + more_input,
        usage.output_tokens + more_output,
        usage.web_searches + more_searches,
    )
    assert most >= price_of(price, usage)


@given(prices(), usages, st.sampled_from(COUNTS), st.integers(1, 10**6))
def test_more_of_anything_never_costs_less(price: Price, usage: Usage, count: str, more: int) -> None:
    grown = msgspec.structs.replace(usage, **{count: getattr(usage, count) + more})
    assert price_of(price, grown) >= price_of(price, usage)


@given(prices(), st.sampled_from(COUNTS), st.integers(1, 10**6))
def test_no_usage_of_a_priced_model_is_free(price: Price, count: str, n: int) -> None:
    cost = price_of(price, Usage(**{count: n}))
    assert cost >= 1
    assert type(cost) is int


@given(prices(), usages, st.integers(101, 1000))
def test_a_surcharge_never_makes_tokens_cheaper_and_keeps_searches(price: Price, usage: Usage, percent: int) -> None:
    dearer = surcharged(price, percent)
    assert price_of(dearer, usage) >= price_of(price, usage)
    assert dearer.web_search == price.web_search
    assert dearer.version != price.version


def test_every_kind_of_token_has_its_own_rate_and_the_sum_is_rounded_up_once() -> None:
    price = Price(
        version="v",
        input=Rate(400_000_000),
        output=Rate(2_000_000_000),
        cache_read=Rate(40_000_000),
        cache_write=Rate(500_000_000),
        cache_write_1h=Rate(800_000_000),
        web_search=Micro(1_000_000),
    )
    usage = Usage(
        input_tokens=10,
        cache_read_tokens=1000,
        cache_write_tokens=100,
        cache_write_1h_tokens=1,
        output_tokens=7,
        reasoning_tokens=5,
        web_searches=2,
    )
    assert price_of(price, usage) == 4000 + 40_000 + 50_000 + 800 + 14_000 + 2_000_000
    tiny = msgspec.structs.replace(price, input=Rate(1), output=Rate(1))
    assert price_of(tiny, Usage(input_tokens=1, output_tokens=1)) == 1


@pytest.mark.parametrize(("cached", "expected"), [(0, 1_000), (1, 2_002)])
def test_one_token_over_the_line_bills_the_whole_request_at_the_tier(cached: int, expected: int) -> None:
    tier = LongContext(
        above_tokens=1000,
        input=Rate(2_000_000),
        output=Rate(3_000_000),
        cache_read=Rate(2_000_000),
        cache_write=Rate(2_000_000),
        cache_write_1h=Rate(2_000_000),
    )
    one = dict.fromkeys(("input", "cache_read", "cache_write", "cache_write_1h"), Rate(1_000_000))
    price = Price(version="v", output=Rate(1_000_000), web_search=Micro(1), long_context=(tier,), **one)
    assert price_of(price, Usage(input_tokens=1000, cache_read_tokens=cached)) == expected
