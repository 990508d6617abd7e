"""Where things are in a vendor's JSON: 'data.task_result.videos[].url', 'data[0].url'."""

import re
from typing import Any

FOUND_MAX = 64
"""More outputs than any vendor makes at once."""

_steps = re.compile(r"([^.\[\]]+)|\[(\d*)\]").findall


def every(value: Any, path: str) -> list[Any]:
    """All that is at PATH, at most FOUND_MAX; nothing where a step of it is missing or null. '' is VALUE itself."""
    found = [value]
    for name, index in _steps(path):
        found = [below for one in found for below in _below(one, name, index)][:FOUND_MAX]
    return [one for one in found if one is not None]


def first(value: Any, *paths: str) -> Any:
    """What is at the first of PATHS that leads somewhere, None where none does."""
    for path in paths:
        found = every(value, path)
        if found:
            return found[0]
    return None


def text(value: Any, *paths: str) -> str:
    """The text or number at the first of PATHS where there is one, as text; '' where there is none. True is neither."""
    for path in paths:
        for one in every(value, path):
            if isinstance(one, str | int | float) and not isinstance(one, bool) and one != "":
                return str(one)
    return ""


def number(value: Any, *paths: str) -> float | None:
    """The number at the first of PATHS where there is one, also where it is written as text."""
    for path in paths:
        for one in every(value, path):
            if isinstance(one, int | float) and not isinstance(one, bool):
                return float(one)
            if isinstance(one, str) and _is_number(one):
                return float(one)
    return None


_is_number = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?").fullmatch


def _below(value: Any, name: str, index: str) -> list[Any]:
    if name:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    return value if index == "" else value[int(index) : int(index) + 1]
