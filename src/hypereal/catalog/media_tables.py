"""The TOML form of what a media model takes, and its checked translation into `MediaRules`."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec

from hypereal.catalog.media import ANY, MediaRules

LISTED_MAX = 32
SECONDS_MAX = 600
N_MAX = 10
REFERENCES_MAX = 16

_Listed = Annotated[list[str], msgspec.Meta(max_length=LISTED_MAX)]
_Seconds = list[int] | str
"""[5, 10], or '4-15' with the first as the default."""

_size = re.compile(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}", re.ASCII).fullmatch
_ratio = re.compile(r"[1-9][0-9]?:[1-9][0-9]?|adaptive", re.ASCII).fullmatch
_span = re.compile(r"([1-9][0-9]{0,2})-([1-9][0-9]{0,2})", re.ASCII).fullmatch


class MediaTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`media` of a model."""

    sizes: Annotated[dict[str, str], msgspec.Meta(max_length=LISTED_MAX)] = {}
    ratios: _Listed = []
    resolutions: _Listed = []
    durations: _Seconds | dict[str, _Seconds] = []
    duration: int | None = None
    """The default; absent: the first."""
    n_max: Annotated[int, msgspec.Meta(ge=1, le=N_MAX)] = 1
    references: Annotated[int, msgspec.Meta(ge=0, le=REFERENCES_MAX)] = 0
    references_min: Annotated[int, msgspec.Meta(ge=0, le=REFERENCES_MAX)] = 0
    schemes: tuple[str, ...] = ("https", "data")
    last_image: bool = False
    prompt_chars_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 32_000
    assumed: bool = False


def rules_of(table: MediaTable) -> MediaRules:
    """The rules that TABLE writes down. Raises ValueError that names the key."""
    _check("sizes", table.sizes, _size)
    _check("ratios", table.ratios, _ratio)
    if set(table.schemes) - {"https", "data"} or not table.schemes:
        raise ValueError("media.schemes: there are https and data")
    if table.references_min > table.references:
        raise ValueError("media.references_min: more than references")
    by_resolution = table.durations if isinstance(table.durations, dict) else {ANY: table.durations}
    durations = {name: _seconds(one, table.duration) for name, one in by_resolution.items() if one}
    for name in durations.keys() - {ANY, *table.resolutions}:
        raise ValueError(f"media.durations: there is no resolution {name!r}")
    return MediaRules(
        sizes=table.sizes,
        ratios=tuple(table.ratios),
        resolutions=tuple(table.resolutions),
        durations=durations,
        n_max=table.n_max,
        references_min=table.references_min,
        references_max=table.references,
        schemes=frozenset(table.schemes),
        takes_last_image=table.last_image,
        prompt_chars_max=table.prompt_chars_max,
    )


def _check(key: str, given: Iterable[str], fits: Callable[[str], object]) -> None:
    for one in given:
        if not fits(one):
            raise ValueError(f"media.{key}: cannot be {one!r}")


def _seconds(given: _Seconds, default: int | None) -> tuple[int, ...]:
    if isinstance(given, str):
        span = _span(given)
        if span is None or int(span[1]) > int(span[2]):
            raise ValueError(f"media.durations: {given!r} is not like '4-15'")
        given = list(range(int(span[1]), int(span[2]) + 1))
    if any(not 1 <= one <= SECONDS_MAX for one in given):
        raise ValueError(f"media.durations: 1 to {SECONDS_MAX} seconds")
    return tuple(sorted(given, key=lambda one: one != default))
