"""The names of the wire formats. Their rules are `wire/<name>.py`."""

from enum import StrEnum


class Dialect(StrEnum):
    """A wire format that callers speak to us and we speak to upstreams."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    GEMINI = "gemini"
