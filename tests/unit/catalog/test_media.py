"""What a request for media comes to, by its model's rules: before anything is charged."""

import pytest

from hypereal.catalog import MediaAsked, MediaPrice, MediaRules, Unit, order_of
from hypereal.kit.errors import InvalidRequest
from hypereal.kit.money import Micro

SIZES = MediaRules(
    sizes={"1024x1024": "1K", "1536x1024": "1K", "2048x2048": "2K"},
    n_max=10,
    references_max=2,
    schemes=frozenset({"https"}),
)
RATIOS = MediaRules(ratios=("1:1", "16:9", "9:16"), resolutions=("1K", "0.5K", "2K", "4K"), n_max=4, references_max=4)
VIDEO = MediaRules(
    ratios=("16:9",), resolutions=("768P", "1080P"), durations={"any": (6, 10), "1080P": (6,)}, takes_last_image=True
)
TIERS = MediaPrice(
    per=Unit.IMAGE, tiers={"0.5K": Micro(3), "1K": Micro(4), "2K": Micro(6), "4K": Micro(9)}, version="v"
)
SECONDS = MediaPrice(per=Unit.SECOND, tiers={"any": Micro(20)}, version="v")


def order(rules=RATIOS, price=TIERS, **asked):
    return order_of(rules, price, MediaAsked(prompt="a fox", **asked))


@pytest.mark.parametrize(
    ("rules", "asked", "came"),
    [
        (SIZES, {}, ((1024, 1024), None, None, "1K")),
        (SIZES, {"size": "auto"}, ((1024, 1024), None, None, "1K")),
        (SIZES, {"size": "2048*2048"}, ((2048, 2048), None, None, "2K")),
        (SIZES, {"size": "3:2"}, ((1536, 1024), None, None, "1K")),
        (SIZES, {"resolution": "2k"}, ((2048, 2048), None, None, "2K")),
        (RATIOS, {}, (None, None, "1K", "1K")),
        (RATIOS, {"aspect_ratio": "16:9", "resolution": "4k"}, (None, "16:9", "4K", "4K")),
        (RATIOS, {"size": "1024x1024"}, (None, "1:1", "1K", "1K")),
        (RATIOS, {"size": "1792x1024"}, (None, "16:9", "1K", "1K")),
        (RATIOS, {"size": "512x512"}, (None, "1:1", "0.5K", "0.5K")),
        (RATIOS, {"size": "4096x4096"}, (None, "1:1", "4K", "4K")),
        (RATIOS, {"size": "2K"}, (None, None, "2K", "2K")),
    ],
)
def test_whatever_clients_write_comes_to_one_thing(rules, asked, came):
    made = order(rules, **asked)
    assert (made.size, made.aspect_ratio, made.resolution, made.tier) == came


@pytest.mark.parametrize(
    ("rules", "asked", "field", "allowed"),
    [
        (SIZES, {"size": "640x640"}, "size", "2048x2048"),
        (SIZES, {"size": "large"}, "size", "1024x1024"),
        (SIZES, {"aspect_ratio": "21:9"}, "size", "1536x1024"),
        (RATIOS, {"aspect_ratio": "7:5"}, "aspect_ratio", "9:16"),
        (RATIOS, {"size": "1000x400"}, "size", "16:9"),
        (RATIOS, {"resolution": "8K"}, "resolution", "0.5K"),
        (SIZES, {"references": 3}, "reference_images", "at most 2"),
        (SIZES, {"references": 1, "schemes": frozenset({"data"})}, "reference_images", "https URLs only"),
        (VIDEO, {"references": 1}, "reference_images", "none"),
        (RATIOS, {"has_last_image": True}, "last_image_url", "none"),
    ],
)
def test_what_is_refused_is_told_with_what_is_allowed(rules, asked, field, allowed):
    with pytest.raises(InvalidRequest) as refused:
        order(rules, **asked)
    assert refused.value.param == field
    assert allowed in refused.value.message


def test_durations_are_those_of_the_resolution():
    assert order(VIDEO, SECONDS).duration_s == 6
    assert order(VIDEO, SECONDS, duration_s=10).worst_case == 200
    with pytest.raises(InvalidRequest, match=r"duration.*It takes 6\."):
        order(VIDEO, SECONDS, resolution="1080p", duration_s=10)


def test_n_is_clamped_and_held_for_whole():
    assert [order(n=n).n for n in (0, 1, 4, 11)] == [1, 1, 4, 4]
    assert order(n=3, resolution="4K").worst_case == 27


def test_without_a_prompt_there_is_nothing_to_make_unless_there_is_a_picture():
    with pytest.raises(InvalidRequest, match="prompt"):
        order_of(RATIOS, TIERS, MediaAsked(prompt=" "))
    assert order_of(RATIOS, TIERS, MediaAsked(prompt="", references=1)).n == 1
