"""Moments as text."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.clock import utc_text

MICROSECOND = timedelta(microseconds=1)


@given(st.floats(0, 4e9))
def test_text_is_the_moment_to_the_microsecond(unix_s: float) -> None:
    text = utc_text(unix_s)
    assert len(text) == len("2026-11-26T07:40:28.123456Z")
    assert abs(datetime.fromisoformat(text) - datetime.fromtimestamp(unix_s, UTC)) <= MICROSECOND


def test_the_last_moment_of_a_second_is_of_that_second() -> None:
    assert utc_text(1_764_142_828.9999998) == "2025-11-26T07:40:28.999999Z"
