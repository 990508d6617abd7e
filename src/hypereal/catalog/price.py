"""The only pricing: rates of a model, the worst case of a call and the cost of what it used. Integers only."""

import msgspec

from hypereal.kit.money import Micro, Rate, micro_for
from hypereal.kit.usage import Usage


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-credits per million tokens, by kind of token. `Usage` says which token is of which kind."""

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate
    cache_write_1h: Rate


class LongContext(Rates, frozen=True, kw_only=True):
    """Rates of the whole request, output too, once its input is over `above_tokens`: vendors bill all or nothing."""

    above_tokens: int


class Price(Rates, frozen=True, kw_only=True):
    """What a token model costs.

    `long_context` is ascending by `above_tokens` and no rate in it is below the one before, which the catalog checks:
    so more input never costs less.
    """

    version: str
    """Changes with any amount. A call keeps the price it began with."""
    web_search: Micro
    """Per search."""
    long_context: tuple[LongContext, ...] = ()


def price_of(price: Price, usage: Usage) -> Micro:
    """What USAGE costs in micro-credits, rounded up once."""
    rates = _rates_at(price, usage.input_tokens_total) if price.long_context else price
    tokens = (
        usage.input_tokens * rates.input
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_tokens * rates.cache_write
        + usage.cache_write_1h_tokens * rates.cache_write_1h
        + usage.output_tokens * rates.output
    )
    cost = micro_for(tokens)
    return Micro(cost + usage.web_searches * price.web_search) if usage.web_searches else cost


def worst_case(price: Price, input_tokens: int, output_tokens: int, web_searches: int = 0) -> Micro:
    """The most that any usage within these counts costs, in micro-credits: what a hold must cover.

    Every input token is taken as the dearest kind, since a cache write costs more than plain input.
    """
    rates = _rates_at(price, input_tokens) if price.long_context else price
    dearest = max(rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h)
    cost = micro_for(input_tokens * dearest + output_tokens * rates.output)
    return Micro(cost + web_searches * price.web_search) if web_searches else cost


def surcharged(price: Price, rate_percent: int) -> Price:
    """PRICE with every token rate at RATE_PERCENT of itself, rounded up; searches cost the same."""
    if rate_percent == 100:
        return price
    return msgspec.structs.replace(
        price,
        version=f"{price.version}*{rate_percent}",
        long_context=tuple(msgspec.structs.replace(tier, **_scaled(tier, rate_percent)) for tier in price.long_context),
        **_scaled(price, rate_percent),
    )


def _rates_at(price: Price, input_tokens: int) -> Rates:
    rates: Rates = price
    for tier in price.long_context:
        if input_tokens > tier.above_tokens:
            rates = tier
    return rates


def _scaled(rates: Rates, percent: int) -> dict[str, Rate]:
    return {name: Rate(-(-getattr(rates, name) * percent // 100)) for name in Rates.__struct_fields__}
