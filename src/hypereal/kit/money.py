"""Money is integers of micro-credits: 1 credit = 1,000,000, 100 credits = $1. No float touches it."""

from decimal import Decimal, InvalidOperation
from typing import Final, NewType

import msgspec

Micro = NewType("Micro", int)
"""Micro-credits: millionths of a credit."""

Rate = NewType("Rate", int)
"""Micro-credits per million tokens (equally: whole credits times a million, per million tokens)."""

MICRO_PER_CREDIT: Final = 1_000_000
CREDITS_PER_DOLLAR: Final = 100
MICRO_PER_DOLLAR: Final = MICRO_PER_CREDIT * CREDITS_PER_DOLLAR
TOKENS_PER_RATE: Final = 1_000_000
CREDITS_MAX: Final = 10**12
"""The most that one amount given by a person may be."""
_DIGITS: Final = [f"{number:03d}" for number in range(1000)]


def credits(micro: int) -> str:
    """MICRO as decimal credits, at most 6 decimals, no trailing zeros: 1_500_000 -> '1.5'."""
    if micro < 0:
        return "-" + credits(-micro)
    milli, last = divmod(micro, 1000)
    whole, first = divmod(milli, 1000)
    return f"{whole}.{_DIGITS[first]}{_DIGITS[last]}".rstrip("0") if first or last else str(whole)


def credits_json(micro: int) -> msgspec.Raw:
    """MICRO as a JSON number of credits, exact."""
    return msgspec.Raw(credits(micro).encode())


def micro_from_credits(text: str) -> Micro:
    """Decimal credits ('12.5') as micro-credits. Raises ValueError for more than 6 decimals, no number, or too much."""
    return Micro(_scaled(text, MICRO_PER_CREDIT, CREDITS_MAX))


def rate_from_dollars(dollars_per_million_tokens: Decimal) -> Rate:
    """$ per million tokens as a Rate, exact. Raises ValueError where a micro-credit would have to be split."""
    return Rate(_scaled(str(dollars_per_million_tokens), MICRO_PER_DOLLAR, CREDITS_MAX))


def micro_for(token_rate_sum: int) -> Micro:
    """A sum of tokens x Rate as micro-credits, rounded up once."""
    return (token_rate_sum + (TOKENS_PER_RATE - 1)) // TOKENS_PER_RATE  # type: ignore[return-value]  # spares a call


def _scaled(text: str, factor: int, most: int) -> int:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number: {text!r}") from None
    if not value.is_finite() or abs(value) > most:
        raise ValueError(f"out of range: {text!r}")
    scaled = value * factor
    if scaled != scaled.to_integral_value():
        raise ValueError(f"more decimals than are kept: {text!r}")
    return int(scaled)
