"""Counts that nobody else gives: the bound that a hold needs, and estimates where no upstream counted."""

from collections.abc import Collection

from hypereal.wire import text
from hypereal.wire.images import inline_images
from hypereal.wire.request import Request


class Counting:
    """The part of a dialect that counts. A dialect inherits it and says where its text and images stand.

    And what most dialects do not have.
    """

    conversation: str
    """The member of a request that holds its messages."""
    image_tokens: int
    """The most that one image costs by the vendor's rule, in the detail that its API takes by default."""
    answer_text: Collection[str]
    """The members of a plain answer that hold generated text."""
    event_text: Collection[str]
    """The same of an event."""

    def input_tokens_max(self, request: Request) -> int:
        images = inline_images(request.fields, self.conversation, request.size_bytes)
        return request.size_bytes - images.size_bytes + images.number * self.image_tokens

    def estimate_input(self, request: Request) -> int:
        images = inline_images(request.fields, self.conversation, request.size_bytes)
        return text.tokens_for(request.size_bytes - images.size_bytes) + images.number * self.image_tokens

    def estimate_output(self, body: bytes) -> int:
        return text.tokens_for(text.text_bytes(body, self.answer_text))

    def answer_id(self, said: bytes) -> str | None:
        return None

    def output_text_bytes(self, stream: bytes) -> tuple[int, int]:
        return text.stream_text_bytes(stream, self.event_text)
