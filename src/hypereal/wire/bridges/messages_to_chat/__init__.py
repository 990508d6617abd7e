"""Anthropic callers on chat upstreams. Facts: the types of anthropic-python 2.12 and what Claude Code 2.1 sends."""

from hypereal.kit.dialects import Dialect
from hypereal.wire.bridges.bridge import Bridge
from hypereal.wire.bridges.messages_to_chat.answer import MessagesWriter
from hypereal.wire.bridges.messages_to_chat.request import as_chat
from hypereal.wire.folding import anthropic_messages

MESSAGES_TO_CHAT = Bridge(Dialect.ANTHROPIC_MESSAGES, as_chat, MessagesWriter, anthropic_messages.fold)
