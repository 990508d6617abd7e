"""What a model of pictures, video or sound takes, as data; and what a request for it comes to, with its price.

Everything is checked here before anything is charged. What is refused is told with what would be allowed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NoReturn

import msgspec

from hypereal.kit.errors import InvalidRequest
from hypereal.kit.money import Micro

ANY = "any"
"""The one tier of a flat price."""
RATIO_TOLERANCE = 0.03
"""1792x1024 is 16:9 to everybody who writes it."""
TIERS_BY_PIXELS = (("0.5K", 700), ("1K", 1450), ("2K", 2900), ("4K", 5800))
"""The resolution of a picture whose sides' geometric mean is at most so many pixels."""
ROUTES = {"image": "/v1/images/generations", "video": "/v1/videos/generate"}


class Unit(StrEnum):
    """What a media price counts."""

    IMAGE = "image"
    SECOND = "second"
    CLIP = "clip"
    REQUEST = "request"
    CALL = "call"


class MediaPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-credits per unit, by tier ('1K', '1080p', ...). A flat price has the one tier 'any'."""

    per: Unit
    tiers: Mapping[str, Micro]
    version: str
    """Changes with any amount. A job keeps the price it began with."""


class MediaRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one model takes. What is empty, it takes nothing of."""

    sizes: Mapping[str, str] = {}
    """'1024x1024' -> its tier. The first is the default."""
    ratios: tuple[str, ...] = ()
    resolutions: tuple[str, ...] = ()
    """The first is the default."""
    durations: Mapping[str, tuple[int, ...]] = {}
    """Seconds, by resolution; those of 'any' hold for all others. The first is the default."""
    n_max: int = 1
    references_min: int = 0
    references_max: int = 0
    schemes: frozenset[str] = frozenset({"https", "data"})
    """Of references."""
    takes_last_image: bool = False
    prompt_chars_max: int = 32_000


class MediaAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of a model, as far as rules are about it."""

    prompt: str
    n: int = 1
    size: str | None = None
    """'1024x1024', or what others write there: 'auto', a ratio, a resolution."""
    aspect_ratio: str | None = None
    resolution: str | None = None
    duration_s: int | None = None
    references: int = 0
    schemes: frozenset[str] = frozenset()
    has_last_image: bool = False


class MediaOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is made for a request, and what a unit of it costs."""

    n: int
    size: tuple[int, int] | None
    aspect_ratio: str | None
    resolution: str | None
    duration_s: int | None
    tier: str
    unit_price: Micro
    per: Unit
    price_version: str

    @property
    def units(self) -> int:
        """Of all that was asked for."""
        return self.n if self.per is not Unit.SECOND else self.n * (self.duration_s or 1)

    @property
    def worst_case(self) -> Micro:
        """What is held, and the most that is ever charged."""
        return Micro(self.units * self.unit_price)


def order_of(rules: MediaRules, price: MediaPrice, asked: MediaAsked) -> MediaOrder:
    """What ASKED comes to. Raises InvalidRequest that names the field and lists what is allowed."""
    _check_prompt(rules, asked)
    _check_references(rules, asked)
    size, ratio, resolution = _frame(rules, asked)
    duration_s = _duration(rules, resolution, asked.duration_s)
    tier = ANY if ANY in price.tiers else (rules.sizes.get(size) if size else None) or resolution or ""
    if tier not in price.tiers:
        _refuse("resolution", tier, list(price.tiers))
    return MediaOrder(
        n=max(1, min(asked.n, rules.n_max)),
        size=_pixels(size) if size else None,
        aspect_ratio=ratio,
        resolution=resolution,
        duration_s=duration_s,
        tier=tier,
        unit_price=price.tiers[tier],
        per=price.per,
        price_version=price.version,
    )


def _check_prompt(rules: MediaRules, asked: MediaAsked) -> None:
    if not asked.prompt.strip() and not asked.references:
        raise InvalidRequest("prompt: say what is to be made.", param="prompt")
    if len(asked.prompt) > rules.prompt_chars_max:
        raise InvalidRequest(f"prompt: at most {rules.prompt_chars_max} characters.", param="prompt")


def _check_references(rules: MediaRules, asked: MediaAsked) -> None:
    if asked.references > rules.references_max:
        most = f"at most {rules.references_max}" if rules.references_max else "none"
        raise InvalidRequest(f"reference_images: this model takes {most}.", param="reference_images")
    if asked.references < rules.references_min:
        raise InvalidRequest(
            f"reference_images: this model needs {rules.references_min} image to begin with (image_url).",
            param="reference_images",
        )
    if asked.has_last_image and not rules.takes_last_image:
        raise InvalidRequest("last_image_url: this model takes none.", param="last_image_url")
    strange = asked.schemes - rules.schemes
    if strange:
        allowed = "public https URLs" + (" and base64 data URLs" if "data" in rules.schemes else " only")
        raise InvalidRequest(f"reference_images: this model takes {allowed}.", param="reference_images")


def _frame(rules: MediaRules, asked: MediaAsked) -> tuple[str | None, str | None, str | None]:
    """Size, ratio and resolution of what is made; those that the model does not know are None."""
    size, ratio, resolution = _sorted_out(rules, asked)
    if rules.sizes:
        return _of_sizes(rules, size, ratio, resolution)
    if size is not None:
        ratio, resolution = ratio or _ratio_of(rules, size), resolution or _resolution_of(rules, size)
    if ratio is not None and ratio not in rules.ratios:
        _refuse("aspect_ratio", ratio, rules.ratios)
    return None, ratio, _known(rules.resolutions, resolution)


def _sorted_out(rules: MediaRules, asked: MediaAsked) -> tuple[str | None, str | None, str | None]:
    """What clients write into `size` is one of three things."""
    size = (asked.size or "").strip().lower().replace("*", "x").replace("\u00d7", "x")
    ratio, resolution = asked.aspect_ratio, asked.resolution
    if size in ("", "auto"):
        return None, ratio, resolution
    if ":" in size:
        return None, ratio or size, resolution
    if re.fullmatch(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}", size):
        return size, ratio, resolution
    if size in {one.lower() for one in rules.resolutions}:
        return None, ratio, resolution or size
    _refuse("size", size, list(rules.sizes) or [*rules.ratios, *rules.resolutions])


def _of_sizes(
    rules: MediaRules, size: str | None, ratio: str | None, resolution: str | None
) -> tuple[str | None, str | None, str | None]:
    """The first size that is all that was asked for."""
    for one, tier in rules.sizes.items():
        width, height = _pixels(one)
        is_it = size in (None, one) and (resolution is None or resolution.lower() == tier.lower())
        if is_it and (ratio is None or _is_close(ratio, width / height)):
            return one, None, None
    _refuse("size", size or " ".join(filter(None, (ratio, resolution))), list(rules.sizes))


def _ratio_of(rules: MediaRules, size: str) -> str | None:
    width, height = _pixels(size)
    close = next((ratio for ratio in rules.ratios if _is_close(ratio, width / height)), None)
    if close is None and rules.ratios:
        _refuse("size", size, [*rules.ratios, *rules.resolutions])
    return close


def _resolution_of(rules: MediaRules, size: str) -> str | None:
    width, height = _pixels(size)
    lines = {one.lower(): one for one in rules.resolutions}
    short = f"{min(width, height)}p"
    if short in lines:
        return lines[short]
    mean = math.sqrt(width * height)
    tier = next((tier for tier, most in TIERS_BY_PIXELS if mean <= most), None)
    if rules.resolutions and (tier or "").lower() not in lines:
        _refuse("size", size, [*rules.ratios, *rules.resolutions])
    return tier if rules.resolutions else None


def _known(allowed: Sequence[str], given: str | None) -> str | None:
    """GIVEN as ALLOWED writes it; the first of them where nothing is given."""
    if given is None:
        return allowed[0] if allowed else None
    found = next((one for one in allowed if one.lower() == given.lower()), None)
    if found is None:
        _refuse("resolution", given, allowed)
    return found


def _duration(rules: MediaRules, resolution: str | None, given: int | None) -> int | None:
    allowed = rules.durations.get(resolution or ANY) or rules.durations.get(ANY) or ()
    if given is None:
        return allowed[0] if allowed else None
    if given not in allowed:
        _refuse("duration", str(given), [str(one) for one in allowed])
    return given


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def _is_close(ratio: str, value: float) -> bool:
    width, _, height = ratio.partition(":")
    if not (width.isdecimal() and height.isdecimal() and int(height)):
        return False
    return abs(int(width) / int(height) - value) <= RATIO_TOLERANCE * value


def _refuse(field: str, given: str, allowed: Sequence[str]) -> NoReturn:
    known = f"It takes {', '.join(allowed)}." if allowed else "It takes none."
    raise InvalidRequest(
        f"{field}: this model does not take '{given[:100]}'. {known}", param=field, details={"allowed": list(allowed)}
    )
