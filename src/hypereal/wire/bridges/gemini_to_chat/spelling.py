"""Google takes both spellings of its members: camelCase and snake_case."""

from typing import Any


def camel(value: dict[str, Any]) -> dict[str, Any]:
    """VALUE with its own members in camelCase; what they hold is left alone."""
    return {_camel(name): item for name, item in value.items()}


def _camel(name: str) -> str:
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
