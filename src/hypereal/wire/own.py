"""What a request says to the gateway itself. It never reaches an upstream."""

import msgspec


class Own(msgspec.Struct, frozen=True, gc=False):
    """The gateway's own members of a request, read."""

    caches: bool = True
    """`hypereal.cache`: whether prefixes may be marked for the vendor's cache."""
    intent: str | None = None
    """What the caller wants a model for, in place of naming one."""


class Hypereal(msgspec.Struct, gc=False):
    """The member `hypereal`, as it is written."""

    cache: str | bool | None = None


NO_OWN = Own()
