"""Bodies that come to the chat route in another dialect's shape, as chat bodies. The reply stays chat.

Cursor sends Responses bodies for GPT models and Anthropic's blocks and tools for others, all to this route
(clients.md 4.10). Contract 2.1: such a body is read by its shape.
"""

import msgspec

from hypereal.wire import members
from hypereal.wire.bridges.chat_requests import EFFORTS, AsChat, translated
from hypereal.wire.bridges.messages_to_chat.request import as_chat as messages_as_chat
from hypereal.wire.bridges.responses_to_chat.request import as_chat as responses_as_chat
from hypereal.wire.members import UNREADABLE, Fields
from hypereal.wire.profiles import Profile

CHATS_TOOLS = b'[{"type":"f'
"""How chat's tools begin, as its clients print them; others need a closer look."""
PEEKED_BYTES = 64
"""Chat's tools say `"function"` so early, whatever white space and order a client prints."""

_MESSAGES = Profile(efforts=EFFORTS)
_RESPONSES = Profile(efforts=EFFORTS, output_limit="max_completion_tokens")
"""The vendor is not known yet, so nothing is left out. A body of OpenAI's keeps to OpenAI's name of the limit."""
_OF_MESSAGES = frozenset(
    {"system", "messages", "tools", "stop_sequences", "thinking", "output_config", "context_management", "metadata"}
    | {"cache_control", "top_k", "max_tokens"}
)
_OF_RESPONSES = frozenset(
    {"input", "instructions", "tools", "tool_choice", "reasoning", "text", "max_output_tokens", "include", "store"}
    | {
        "truncation",
        "previous_response_id",
        "metadata",
        "max_tool_calls",
        "client_metadata",
        "background",
        "conversation",
        "prompt",
    }
)
"""Members that mean nothing, or something else, in chat. The others stay byte for byte."""


class _Tool(msgspec.Struct, gc=False):
    input_schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_tools = msgspec.json.Decoder(list[_Tool])


def as_chat_fields(fields: Fields) -> Fields:
    """The members of a chat body: FIELDS themselves unless they have another shape. Raises InvalidRequest."""
    if "messages" not in fields:
        return _translated(fields, responses_as_chat, _RESPONSES, _OF_RESPONSES) if "input" in fields else fields
    if "system" in fields or _are_anthropics(fields.get("tools")):
        own = _OF_MESSAGES
        if members.starts_with(fields.get("tool_choice", members.NULL), "{"):
            own |= {"tool_choice"}
        return _translated(fields, messages_as_chat, _MESSAGES, own)
    return fields


def _translated(fields: Fields, as_chat: AsChat, profile: Profile, own: frozenset[str]) -> Fields:
    kept = {name: raw for name, raw in fields.items() if name not in own}
    return {**kept, **translated(fields, as_chat, profile)}


def _are_anthropics(tools: msgspec.Raw | None) -> bool:
    if tools is None or b'"function"' in bytes(memoryview(tools)[:PEEKED_BYTES]):
        return False
    try:
        return any(tool.input_schema is not msgspec.UNSET for tool in _tools.decode(tools))
    except UNREADABLE:
        return False
