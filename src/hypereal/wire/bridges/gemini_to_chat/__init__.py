"""Gemini callers on chat upstreams. Facts: the types of google-genai and what Gemini CLI 0.61 sends and takes."""

from hypereal.kit.dialects import Dialect
from hypereal.wire.bridges.bridge import Bridge
from hypereal.wire.bridges.gemini_to_chat.answer import GeminiWriter
from hypereal.wire.bridges.gemini_to_chat.request import as_chat
from hypereal.wire.folding import gemini

GEMINI_TO_CHAT = Bridge(Dialect.GEMINI, as_chat, GeminiWriter, gemini.fold)
