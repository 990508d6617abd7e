"""Translations between dialects, one folder a pair, all by way of chat. Start at `bridge.py`.

A pair without one is served only where both are the same.
"""

from collections.abc import Mapping

from hypereal.kit.dialects import Dialect
from hypereal.wire.bridges.bridge import Bridge, BridgedStream
from hypereal.wire.bridges.gemini_to_chat import GEMINI_TO_CHAT
from hypereal.wire.bridges.messages_to_chat import MESSAGES_TO_CHAT
from hypereal.wire.bridges.responses_to_chat import RESPONSES_TO_CHAT
from hypereal.wire.bridges.responses_to_chat.continuing import as_vendors, continued, conversation

_ALL = (GEMINI_TO_CHAT, MESSAGES_TO_CHAT, RESPONSES_TO_CHAT)

BRIDGES: Mapping[tuple[Dialect, Dialect], Bridge] = {(bridge.caller, bridge.upstream): bridge for bridge in _ALL}
"""By (caller's dialect, upstream's dialect)."""

__all__ = ["BRIDGES", "Bridge", "BridgedStream", "as_vendors", "continued", "conversation"]
