"""A translation from a caller's dialect to chat, which nearly every upstream speaks, and of the answers back.

One path for both kinds of answers: a plain one is the stream that it stands for, written and folded. So they cannot
say different things.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.wire import members
from hypereal.wire.bridges.chat_answers import ChatReader, Grown, Kind, Piece
from hypereal.wire.bridges.chat_requests import AsChat, translated
from hypereal.wire.folding import openai_chat
from hypereal.wire.folding.decoding import unusable
from hypereal.wire.members import encode
from hypereal.wire.profiles import Profile
from hypereal.wire.request import Request


class Writer(Protocol):
    """The caller's half of one answer: the pieces of it in the order in which they come."""

    def write(self, piece: Piece) -> bytes:
        """The events that PIECE is in the caller's dialect; none where it says nothing there."""


class BridgedStream:
    """One stream on its way through; keeps what it must remember between events."""

    def __init__(self, reader: ChatReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self.failure: HyperealError | None = None
        """The error that the upstream's stream ended with. The caller has not been told of it."""

    def feed(self, stream: bytes) -> bytes:
        """Take the upstream's next whole events, however they are grouped; returns the caller's."""
        return self._written(self._reader.feed(stream))

    def end(self) -> bytes:
        """The upstream's stream is over: the caller's last events; nothing where it was cut."""
        return self._written(self._reader.end())

    def _written(self, pieces: Iterable[Piece]) -> bytes:
        parts: list[bytes] = []
        try:
            for piece in pieces:
                parts.append(self._writer.write(piece))
        except HyperealError as error:
            self.failure = error
        return b"".join(parts)


class Bridge:
    """Callers speak `caller`, the upstream speaks chat as its PROFILE has it.

    For the bill, usage and errors are read from the upstream's own bytes in its own dialect.
    """

    upstream = Dialect.OPENAI_CHAT

    def __init__(
        self,
        caller: Dialect,
        as_chat: AsChat,
        writer: Callable[[Request], Writer],
        fold: Callable[[bytes], bytes],
    ) -> None:
        """FOLD gives a stream of the caller's dialect as one answer."""
        self.caller = caller
        self._as_chat = as_chat
        self._writer = writer
        self._fold = fold
        self._output_tokens_max: int | None = None

    def within(self, output_tokens_max: int) -> "Bridge":
        """The same for a model that gives OUTPUT_TOKENS_MAX at most: a caller's higher limit is lowered to it.

        Clients ask for what their own vendor's models give, and other vendors refuse that.
        """
        bridge = copy.copy(self)
        bridge._output_tokens_max = output_tokens_max
        return bridge

    def request(self, request: Request, profile: Profile) -> Request:
        """The call in chat, ready for its `write`. Raises InvalidRequest for what it cannot carry."""
        fields = {"model": msgspec.Raw(encode(request.model))} | translated(request.fields, self._as_chat, profile)
        if request.stream:
            fields["stream"] = members.TRUE
        limit = request.output_tokens_max
        if limit is not None and self._output_tokens_max is not None and limit > self._output_tokens_max:
            limit = self._output_tokens_max
            fields[profile.output_limit] = msgspec.Raw(encode(limit))
        return Request(
            dialect=self.upstream,
            model=request.model,
            stream=request.stream,
            fields=fields,
            size_bytes=request.size_bytes,
            output_tokens_max=limit,
            choices=request.choices,
            wants_usage=False,
        )

    def answer(self, body: bytes, request: Request, profile: Profile, answer_id: str) -> bytes:
        """The plain answer BODY to REQUEST, the caller's own, under ANSWER_ID, which its dialect gives a prefix.

        Raises UpstreamFailed where BODY is none.
        """
        try:
            reader, writer = ChatReader(profile, answer_id), self._writer(request)
            pieces = [*reader.feed(openai_chat.unfold(body)), *reader.end()]
            return self._fold(b"".join([writer.write(piece) for piece in pieces if not _is_of_broken_call(piece)]))
        except RecursionError:
            raise unusable() from None

    def stream(self, request: Request, profile: Profile, answer_id: str) -> BridgedStream:
        """The translation of one stream that answers REQUEST, the caller's own, under ANSWER_ID."""
        return BridgedStream(ChatReader(profile, answer_id), self._writer(request))


def _is_of_broken_call(piece: Piece) -> bool:
    """Arguments that were cut by the limit of output, say, would spoil the whole answer."""
    return isinstance(piece, Grown) and piece.block.kind is Kind.CALL and piece.block.arguments is None
