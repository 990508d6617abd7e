"""Sizes, ratios and tiers, as vendors write them."""

from collections.abc import Collection
from math import gcd

from hypereal.providers.drivers.work import Work

RATIOS_AT_2K = {
    "1:1": (2048, 2048),
    "4:3": (2304, 1728),
    "3:4": (1728, 2304),
    "16:9": (2560, 1440),
    "9:16": (1440, 2560),
    "3:2": (2496, 1664),
    "2:3": (1664, 2496),
    "21:9": (3024, 1296),
}


def size_text(work: Work, between: str = "x") -> str | None:
    """'1024x768', None where no size was asked for."""
    return None if work.size is None else f"{work.size[0]}{between}{work.size[1]}"


def ratio(work: Work, allowed: Collection[str] = ()) -> str | None:
    """The ratio that was asked for, also by a size; the nearest of ALLOWED where a size has none of them exactly."""
    if work.aspect_ratio is not None or work.size is None:
        return work.aspect_ratio
    width, height = work.size
    part = gcd(width, height) or 1
    exact = f"{width // part}:{height // part}"
    if not allowed or exact in allowed:
        return exact
    return min(allowed, key=lambda one: abs(_quotient(one) - width / max(height, 1)))


def tier(work: Work) -> str | None:
    """The resolution in lower case: '720p', '2k'."""
    return None if work.resolution is None else work.resolution.lower()


def tier_upper(work: Work) -> str | None:
    """The resolution in upper case: '720P', '2K'."""
    return None if work.resolution is None else work.resolution.upper()


def _quotient(text: str) -> float:
    width, _, height = text.partition(":")
    return int(width) / int(height)
