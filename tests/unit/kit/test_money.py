"""Amounts as text: exact, and no more digits than they have."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.money import MICRO_PER_CREDIT, credits, micro_from_credits


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (999_999, "0.999999"),
        (1_000_000, "1"),
        (1_500_000, "1.5"),
        (10_000_000, "10"),
        (-1_000_000, "-1"),
        (1234, "0.001234"),
    ],
)
def test_credits_have_no_trailing_zeros(micro: int, text: str) -> None:
    assert credits(micro) == text


@given(st.integers(-(10**18), 10**18))
def test_credits_come_back_exact(micro: int) -> None:
    text = credits(micro)
    assert micro_from_credits(text) == micro
    assert Decimal(text) * MICRO_PER_CREDIT == micro
    assert "." not in text or not text.endswith(("0", "."))
