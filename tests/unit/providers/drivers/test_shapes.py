"""Sizes, ratios and tiers in the words of vendors."""

import pytest

from hypereal.providers.drivers import Kind, Work
from hypereal.providers.drivers.shapes import RATIOS_AT_2K, ratio, size_text, tier, tier_upper


def work(**members: object) -> Work:
    return Work(kind=Kind.IMAGE, model="m", **members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "allowed", "wanted"),
    [
        ((1024, 1024), (), "1:1"),
        ((1536, 1024), (), "3:2"),
        ((1280, 720), ("16:9", "9:16"), "16:9"),
        ((1366, 768), ("16:9", "9:16"), "16:9"),
        ((1024, 1792), ("16:9", "9:16", "2:3"), "9:16"),
        (None, (), None),
    ],
)
def test_a_ratio_is_read_from_a_size(
    size: tuple[int, int] | None, allowed: tuple[str, ...], wanted: str | None
) -> None:
    assert ratio(work(size=size), allowed) == wanted


def test_a_ratio_that_was_asked_for_wins() -> None:
    assert ratio(work(size=(10, 10), aspect_ratio="21:9"), ("1:1",)) == "21:9"


def test_words_for_sizes_and_tiers() -> None:
    assert size_text(work(size=(1280, 720))) == "1280x720"
    assert size_text(work(size=(1280, 720)), "*") == "1280*720"
    assert size_text(work()) is None
    assert (tier(work(resolution="1080P")), tier_upper(work(resolution="2k"))) == ("1080p", "2K")
    assert (tier(work()), tier_upper(work())) == (None, None)


@pytest.mark.parametrize("name", RATIOS_AT_2K)
def test_recommended_sizes_have_their_ratio_and_the_pixels_that_the_vendor_allows(name: str) -> None:
    width, height = RATIOS_AT_2K[name]
    wide, high = map(int, name.split(":"))
    assert abs(width / height - wide / high) < 0.01
    for times, least in ((0.5, 921_600), (1, 3_686_400), (2, 3_686_400)):
        assert least <= width * height * times * times <= 16_777_216
