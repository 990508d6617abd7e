import pytest

from hypereal.cli.commands.status import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (86_405, "1 d 5 s")],
)
def test_a_duration_shows_its_two_largest_parts(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown
