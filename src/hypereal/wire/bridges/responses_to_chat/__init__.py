"""Responses callers on chat upstreams. Facts: the types of openai-python 3.54 and what Codex 0.169 sends and takes."""

from hypereal.kit.dialects import Dialect
from hypereal.wire.bridges.bridge import Bridge
from hypereal.wire.bridges.responses_to_chat.answer import ResponsesWriter
from hypereal.wire.bridges.responses_to_chat.request import as_chat
from hypereal.wire.folding import openai_responses

RESPONSES_TO_CHAT = Bridge(Dialect.OPENAI_RESPONSES, as_chat, ResponsesWriter, openai_responses.fold)
