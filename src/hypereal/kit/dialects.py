"""The names of the wire formats. Their rules are `wire/<name>.py`."""

from enum import StrEnum


class Dialect(StrEnum):
    """A wire format that callers speak to us and we speak to upstreams."""

    __hash__ = str.__hash__  # Enum's own is Python code, and every call looks up by dialect a dozen times

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    GEMINI = "gemini"
