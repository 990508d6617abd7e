import pytest
import typer

from hypereal.cli.options import positive_credits


def test_credits_are_exact() -> None:
    assert positive_credits("0.1") == 100_000
    assert positive_credits("1000") == 1_000_000_000


@pytest.mark.parametrize("text", ["0", "-1", "ten", "0.0000001", "NaN", "1e99"])
def test_other_than_positive_credits_are_a_usage_error_that_shows_what_was_given(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        positive_credits(text)
