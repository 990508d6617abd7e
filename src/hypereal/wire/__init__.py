"""Dialects: pure functions from bytes to bytes, no I/O. One module a wire format.

`bridges/` holds translations, `envelopes/` how clouds carry the formats of others. Start at `dialect.py`, which says
what each must be able to do.
"""

from collections.abc import Mapping

from hypereal.kit.dialects import Dialect
from hypereal.wire import members
from hypereal.wire.anthropic_messages import AnthropicMessages
from hypereal.wire.bridges import BRIDGES, Bridge, BridgedStream, as_vendors, continued, conversation
from hypereal.wire.cache_breakpoints import BYTES_PER_TOKEN_MOST, Place, Prefix, Prefixes, find_prefixes
from hypereal.wire.cache_report import CacheReport, cache_delta_at, has_cache_delta, report_in_answer, report_in_stream
from hypereal.wire.chat_finish import FinishMerger, finish_at, has_finish
from hypereal.wire.dialect import WireDialect
from hypereal.wire.envelopes import ENVELOPES, Betas, Envelope
from hypereal.wire.gemini import Gemini
from hypereal.wire.models_list import (
    ModelFacts,
    anthropic_list,
    anthropic_model,
    gemini_list,
    gemini_model,
    openai_list,
    openai_model,
)
from hypereal.wire.needs import needs_of
from hypereal.wire.openai_chat import OpenAIChat
from hypereal.wire.openai_responses import OpenAIResponses
from hypereal.wire.own import Own
from hypereal.wire.profiles import PROFILES, Profile
from hypereal.wire.request import Request
from hypereal.wire.tags import tags_of
from hypereal.wire.upstream_errors import UpstreamError, upstream_error

_chat = OpenAIChat()
_gemini = Gemini()
_ALL: tuple[WireDialect, ...] = (_chat, OpenAIResponses(), AnthropicMessages(), _gemini)

DIALECTS: Mapping[Dialect, WireDialect] = {dialect.name: dialect for dialect in _ALL}


def read_by_shape(body: bytes | bytearray, *, stream: bool | None = None) -> Request:
    """The body of POST /gemini: `messages` make it a chat call, else it is Gemini's; the Request says which.

    STREAM is what the query said (`alt=sse`), None where it said nothing. Raises InvalidRequest.
    """
    fields = members.parse(body)
    if "messages" in fields and "contents" not in fields:
        return _chat.read_fields(fields, len(body), stream=stream)
    return _gemini.read_fields(fields, len(body), stream=stream)


__all__ = [
    "BRIDGES",
    "BYTES_PER_TOKEN_MOST",
    "DIALECTS",
    "ENVELOPES",
    "PROFILES",
    "Betas",
    "Bridge",
    "BridgedStream",
    "CacheReport",
    "Envelope",
    "FinishMerger",
    "ModelFacts",
    "Own",
    "Place",
    "Prefix",
    "Prefixes",
    "Profile",
    "Request",
    "UpstreamError",
    "WireDialect",
    "anthropic_list",
    "anthropic_model",
    "as_vendors",
    "cache_delta_at",
    "continued",
    "conversation",
    "find_prefixes",
    "finish_at",
    "gemini_list",
    "gemini_model",
    "has_cache_delta",
    "has_finish",
    "needs_of",
    "openai_list",
    "openai_model",
    "read_by_shape",
    "report_in_answer",
    "report_in_stream",
    "tags_of",
    "upstream_error",
]
