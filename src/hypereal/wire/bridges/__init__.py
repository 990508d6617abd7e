"""Translations between dialects, one module a pair. A pair without one is served only where both are the same."""

from collections.abc import Mapping

from hypereal.kit.dialects import Dialect
from hypereal.wire.bridges.bridge import Bridge, BridgedStream
from hypereal.wire.bridges.gemini_to_chat import GeminiToChat

_ALL: tuple[Bridge, ...] = (GeminiToChat(),)

BRIDGES: Mapping[tuple[Dialect, Dialect], Bridge] = {(bridge.caller, bridge.upstream): bridge for bridge in _ALL}
"""By (caller's dialect, upstream's dialect)."""

__all__ = ["BRIDGES", "Bridge", "BridgedStream"]
