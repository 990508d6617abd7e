"""What is looked at in OpenAI chat: in requests, answers, and chunks of streams. The rest is not decoded."""

from typing import Any

import msgspec

from hypereal.wire.usage_blocks import ChatUsage


class StreamOptions(msgspec.Struct, gc=False):
    """The member `stream_options` of a request."""

    include_usage: bool | None = None


class Choice(msgspec.Struct, gc=False):
    """What is looked at in one choice."""

    finish_reason: str | None = None
    usage: ChatUsage | None = None
    """Moonshot's place in streams."""


class Chunk(msgspec.Struct, gc=False):
    """What is looked at in an answer or a chunk of a stream."""

    usage: ChatUsage | None = None
    choices: list[Choice] | None = None

    @property
    def said_usage(self) -> ChatUsage | None:
        """The usage block, wherever it stands; None where absent or null."""
        if self.usage is not None or not self.choices:
            return self.usage
        return next((choice.usage for choice in self.choices if choice.usage is not None), None)

    @property
    def is_finish(self) -> bool:
        """Whether a choice ends here. xAI and others end tool calls with an empty reason, or none: not an end."""
        return any(choice.finish_reason for choice in self.choices or ())


class Answer(msgspec.Struct, gc=False):
    """What is looked at in a plain answer."""

    usage: ChatUsage | None = None


class Delta(msgspec.Struct, gc=False):
    """What is looked at in one choice of a chunk, to see whether it says anything."""

    delta: dict[str, Any] | None = None
    finish_reason: str | None = None


class Deltas(msgspec.Struct, gc=False):
    """The same of a chunk."""

    choices: list[Delta] | None = None
    usage: msgspec.Raw | None = None
