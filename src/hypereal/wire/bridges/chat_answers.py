"""What a chat upstream answers, as blocks: reasoning, text and tool calls, one after the other, begun and ended.

A bridge writes them down in its own dialect. Chat itself interleaves: fragments of a call may come between those of
another. Here a block goes out only once the one before it has ended, so that a dialect whose blocks follow each other
can be written as the events come. The vendors' own ways are known here and nowhere else in the bridges.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, NoReturn

import msgspec

from hypereal.kit.errors import HyperealError, Overloaded, UpstreamFailed
from hypereal.kit.ids import new_id
from hypereal.kit.usage import Usage
from hypereal.wire import events
from hypereal.wire.folding.decoding import mapping, objects, position, unusable
from hypereal.wire.members import UNREADABLE, encode
from hypereal.wire.profiles import Profile
from hypereal.wire.upstream_errors import UpstreamError, error_of_value
from hypereal.wire.usage import chat_usage
from hypereal.wire.usage_blocks import ChatUsage

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Of one stream, as it is held for the events that tell a whole text again."""
OVERLOADED = frozenset({429, 503, 529})

_REASONS = {
    "function_call": "tool_calls",
    "sensitive": "content_filter",  # Z.ai
    "model_context_window_exceeded": "length",
    "eos": "stop",
}
"""Vendors' own words for OpenAI's `finish_reason`."""
_FAILURES = frozenset({"error", "network_error", "insufficient_system_resource"})
"""Reasons that are no end: OpenRouter, Z.ai, DeepSeek."""

_object = msgspec.json.Decoder(dict[str, Any])


class Kind(Enum):
    """What a block holds."""

    REASONING = auto()
    TEXT = auto()
    REFUSAL = auto()
    CALL = auto()
    SIGNATURE = auto()
    """Nothing but the thought signature of the message."""


class Block(msgspec.Struct, kw_only=True):
    """A part of one choice's message. It grows until it has ended."""

    choice: int
    kind: Kind
    parts: list[str] = msgspec.field(default_factory=list)
    """Its text so far; of a call, its arguments."""
    index: int | None = None
    """Of a call, as the upstream counts them."""
    id: str = ""
    """Of a call."""
    name: str = ""
    """Of a call."""
    signature: str = ""
    """Google's thought signature of a call, or of the message."""

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self.parts)

    @property
    def arguments(self) -> msgspec.Raw | None:
        """A call's arguments as one JSON object on one line; None where they are none (yet). Nothing stands for {}."""
        text = self.text.strip()
        if not text:
            return msgspec.Raw(b"{}")
        if text[0] != "{" or text[-1] != "}":
            return None
        try:
            _object.decode(text)
            return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
        except UNREADABLE:
            return None


class Opened(msgspec.Struct, frozen=True):
    """The answer begins. Members that the upstream left out are empty or 0."""

    id: str
    """Ours, without a prefix: not every upstream's are unique, and callers continue answers by them."""
    model: str
    created_unix_s: int


class Begun(msgspec.Struct, frozen=True):
    """A block begins. A call has its id and its name."""

    block: Block


class Grown(msgspec.Struct, frozen=True):
    """TEXT was added to a block."""

    block: Block
    text: str


class Ended(msgspec.Struct, frozen=True):
    """A block is whole."""

    block: Block


class Finish(msgspec.Struct, frozen=True):
    """Why a choice ended: `stop`, `length`, `tool_calls`, `content_filter`, or a word that is the vendor's alone."""

    reason: str
    stop: str = ""
    """The stop sequence that was met, where the vendor says it (vLLM, SGLang)."""


class Finished(msgspec.Struct, frozen=True):
    """The answer is whole."""

    finishes: Mapping[int, Finish]
    """By choice."""
    usage: Usage | None


Piece = Opened | Begun | Grown | Ended | Finished


class _Choice:
    """One choice's blocks, and how far they were told."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.blocks: list[Block] = []
        self.calls: list[Block] = []
        self.finish: Finish | None = None
        self.stop = ""
        self._live = 0
        self._is_begun = False
        self._parts_told = 0

    def last(self, kind: Kind) -> Block:
        """The last block where it is of KIND, else a new one."""
        if not self.blocks or self.blocks[-1].kind is not kind:
            self.blocks.append(Block(choice=self.index, kind=kind))
        return self.blocks[-1]

    def call(self, piece: dict[str, Any]) -> Block:
        """The call that PIECE is a fragment of.

        Fragments are matched by index. Some vendors leave it out, or give one index to calls of different ids.
        """
        index = piece["index"] if type(piece.get("index")) is int else None
        call_id, name = _text(piece.get("id")), mapping(piece.get("function")).get("name")
        for known in reversed(self.calls):
            is_same_index = known.index == index if index is not None else bool(call_id) or not name
            is_same_id = not call_id or not known.id or call_id == known.id
            if is_same_index and is_same_id:
                return known
        block = Block(choice=self.index, kind=Kind.CALL, index=index)
        self.blocks.append(block)
        self.calls.append(block)
        return block

    def tell(self, *, is_over: bool) -> Iterator[Piece]:
        """What can be told by now; all of it where the choice IS_OVER."""
        while self._live < len(self.blocks):
            block = self.blocks[self._live]
            if not self._is_begun:
                if block.kind is Kind.CALL and not block.name and not is_over:
                    return
                self._is_begun, self._parts_told = True, 0
                block.id = block.id or (new_id("call") if block.kind is Kind.CALL else "")
                yield Begun(block)
            if len(block.parts) > self._parts_told:
                text = "".join(block.parts[self._parts_told :])
                self._parts_told = len(block.parts)
                yield Grown(block, text)
            if not is_over and (block is self.blocks[-1] or not _is_whole(block)):
                return
            yield Ended(block)
            self._live += 1
            self._is_begun = False


class ChatReader:
    """One answer, read as its events come. What it yields must be taken to the end.

    It raises the error that ends the answer instead, where there is one: a HyperealError, after which nothing follows.
    """

    def __init__(self, profile: Profile, answer_id: str) -> None:
        self._profile = profile
        self._answer_id = answer_id
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._is_opened = False
        self._is_over = False
        self._size_bytes = 0

    def feed(self, stream: bytes) -> Iterator[Piece]:
        """What the upstream's next whole events say."""
        for payload in events.payloads(stream):
            self._size_bytes += len(payload)
            if self._is_over:
                return
            if payload == events.DONE:
                yield from self._finish()
            elif self._size_bytes > ANSWER_BYTES_MAX:
                self._fail(UpstreamFailed("The upstream's answer is too large."))
            else:
                yield from self._read(payload)

    def end(self) -> Iterator[Piece]:
        """The stream is over. Without `[DONE]` it is whole where a reason and usage came; else it was cut: nothing."""
        is_ended = any(choice.finish is not None for choice in self._choices.values())
        if not self._is_over and is_ended and self._usage is not None:
            yield from self._finish()

    def _read(self, payload: bytes) -> Iterator[Piece]:
        try:
            chunk = _object.decode(payload)
        except UNREADABLE:
            return
        if (error := error_of_value(200, chunk)) is not None:
            self._fail(_as_error(error))
        if not self._is_opened:
            self._is_opened = True
            yield Opened(self._answer_id, _text(chunk.get("model")), position(chunk.get("created")))
        self._usage = self._usage_in(chunk) or self._usage
        for piece in objects(chunk.get("choices")):
            yield from self._read_choice(piece)

    def _read_choice(self, piece: dict[str, Any]) -> Iterator[Piece]:
        index = position(piece.get("index"))
        choice = self._choices.setdefault(index, _Choice(index))
        self._usage = self._usage_in(piece) or self._usage
        _take_delta(choice, mapping(piece.get("delta")))
        reason = _text(piece.get("finish_reason"))
        if reason in _FAILURES:
            self._fail(UpstreamFailed(f"The upstream broke off ({reason})."))
        choice.stop = _text(piece.get("stop_reason")) or _text(piece.get("matched_stop")) or choice.stop
        if reason:
            choice.finish = Finish(_REASONS.get(reason, reason), choice.stop)
        yield from choice.tell(is_over=bool(reason))

    def _finish(self) -> Iterator[Piece]:
        if not self._choices:
            self._fail(unusable())
        self._is_over = True
        for choice in self._choices.values():
            yield from choice.tell(is_over=True)
        yield Finished({index: _finish_of(choice) for index, choice in self._choices.items()}, self._usage)

    def _fail(self, error: HyperealError) -> NoReturn:
        self._is_over = True
        raise error

    def _usage_in(self, holder: dict[str, Any]) -> Usage | None:
        """Moonshot has it in a choice."""
        if not isinstance(holder.get("usage"), dict):
            return None
        try:
            return chat_usage(msgspec.convert(holder["usage"], ChatUsage), self._profile)
        except msgspec.ValidationError:
            return None


def _take_delta(choice: _Choice, delta: dict[str, Any]) -> None:
    reasoning = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
    said = [(Kind.REASONING, reasoning), *_said(delta.get("content")), (Kind.REFUSAL, _text(delta.get("refusal")))]
    for kind, text in said:
        if text:
            choice.last(kind).parts.append(text)
    for piece in objects(delta.get("tool_calls")):
        block, function = choice.call(piece), mapping(piece.get("function"))
        block.id = block.id or _text(piece.get("id"))
        block.name = block.name or _text(function.get("name"))
        block.signature = _signature(piece) or block.signature
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # who does not print them as text sends them whole
            block.parts = [encode(arguments).decode()]
        elif isinstance(arguments, str) and arguments:
            block.parts.append(arguments)
    if signature := _signature(delta):
        choice.last(Kind.SIGNATURE).signature = signature


def _said(content: Any) -> Iterator[tuple[Kind, str]]:
    """The text of a content. Mistral's reasoning models send parts: thinking and text."""
    if isinstance(content, str):
        yield Kind.TEXT, content
    for part in objects(content):
        if part.get("type") == "thinking":
            yield Kind.REASONING, "".join(_text(inner.get("text")) for inner in objects(part.get("thinking")))
        else:
            yield Kind.TEXT, _text(part.get("text"))


def _signature(holder: dict[str, Any]) -> str:
    return _text(mapping(mapping(holder.get("extra_content")).get("google")).get("thought_signature"))


def _is_whole(block: Block) -> bool:
    """Whether a block that is not the last will grow no more. Only calls are interleaved."""
    return block.kind is not Kind.CALL or (bool(block.parts) and block.arguments is not None)


def _finish_of(choice: _Choice) -> Finish:
    """xAI and others end tool calls with an empty reason, some with `stop`."""
    finish = choice.finish or Finish("stop")
    return Finish("tool_calls") if choice.calls and finish.reason == "stop" else finish


def _as_error(error: UpstreamError) -> HyperealError:
    message = error.message or "The upstream failed."
    if error.status in OVERLOADED:
        overloaded = Overloaded(message)
        overloaded.code = error.code or None
        return overloaded
    return UpstreamFailed(message, code=error.code or None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
