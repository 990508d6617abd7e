"""A chat answer as Anthropic's events. What its clients need: clients.md 4.1 and 4.7."""

from typing import Any, assert_never

from hypereal.kit.usage import Usage
from hypereal.wire import events, members
from hypereal.wire.bridges.chat_answers import Begun, Block, Ended, Finished, Grown, Kind, Opened, Piece
from hypereal.wire.bridges.chat_requests import chat_name
from hypereal.wire.bridges.opaque import seal
from hypereal.wire.folding.decoding import mapping, objects
from hypereal.wire.members import NULL, encode
from hypereal.wire.request import Request

STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
"""Of chat's finish reasons; any other is `end_turn`."""
_THINKING_SHOWN = ("enabled", "adaptive", "between_tools")


class MessagesWriter:
    """The events of one answer.

    Thought signatures, which this dialect has no place for, stand in `redacted_thinking` blocks, which come back.
    """

    def __init__(self, request: Request) -> None:
        thinking = mapping(members.decoded(request.fields.get("thinking", NULL), "thinking"))
        self._shows_thinking = thinking.get("type") in _THINKING_SHOWN
        self._omits_thinking = thinking.get("display") == "omitted"
        self._stops = members.decoded(request.fields.get("stop_sequences", NULL), "stop_sequences")
        self._names = _names(request)
        self._model = request.model
        self._index = 0
        self._is_refused = False
        self._signed: set[str] = set()
        """Calls whose signature is out."""

    def write(self, piece: Piece) -> bytes:
        """The events that PIECE is; none where it says nothing here."""
        match piece:
            case Opened():
                return self._start(piece)
            case Begun() | Grown() | Ended() if piece.block.choice:
                return b""  # this dialect has one choice only
            case Begun():
                return self._begin(piece.block)
            case Grown():
                return self._grow(piece.block, piece.text)
            case Ended():
                return self._end(piece.block)
            case Finished():
                return self._finish(piece)
            case _:
                assert_never(piece)

    def _start(self, piece: Opened) -> bytes:
        message: dict[str, Any] = {
            "id": f"msg_{piece.id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(None),
        }
        return _event("message_start", message=message)

    def _begin(self, block: Block) -> bytes:
        match block.kind:
            case Kind.REASONING:
                return self._open(type="thinking", thinking="", signature="") if self._shows_thinking else b""
            case Kind.TEXT | Kind.REFUSAL:
                return self._open(type="text", text="")
            case Kind.CALL:
                name = self._names.get(block.name, block.name)
                return self._sign(block) + self._open(type="tool_use", id=block.id, name=name, input={})
            case Kind.SIGNATURE:
                return b""
            case _:
                assert_never(block.kind)

    def _grow(self, block: Block, text: str) -> bytes:
        match block.kind:
            case Kind.REASONING:
                is_told = self._shows_thinking and not self._omits_thinking
                return self._delta(type="thinking_delta", thinking=text) if is_told else b""
            case Kind.TEXT | Kind.REFUSAL:
                return self._delta(type="text_delta", text=text)
            case Kind.CALL:
                return self._delta(type="input_json_delta", partial_json=text)
            case Kind.SIGNATURE:
                return b""
            case _:
                assert_never(block.kind)

    def _end(self, block: Block) -> bytes:
        match block.kind:
            case Kind.REASONING if self._shows_thinking:
                signature = seal(text=block.text if self._omits_thinking else "")
                return self._delta(type="signature_delta", signature=signature) + self._close()
            case Kind.REASONING:
                return b""
            case Kind.REFUSAL:
                self._is_refused = True
                return self._close()
            case Kind.TEXT:
                return self._close()
            case Kind.CALL:
                return self._close() + self._sign(block)
            case Kind.SIGNATURE:
                return self._sign(block)
            case _:
                assert_never(block.kind)

    def _sign(self, block: Block) -> bytes:
        """The block that keeps BLOCK's signature, once; a call whose signature comes late has it behind."""
        if not block.signature or block.id in self._signed:
            return b""
        self._signed.add(block.id)
        sealed = seal(call=block.id, signature=block.signature)
        return self._open(type="redacted_thinking", data=sealed) + self._close()

    def _finish(self, piece: Finished) -> bytes:
        finish = piece.finishes[min(piece.finishes)]
        reason, stop = STOP_REASONS.get(finish.reason, "end_turn"), None
        if isinstance(self._stops, list) and finish.stop in self._stops:
            reason, stop = "stop_sequence", finish.stop
        elif self._is_refused and reason == "end_turn":
            reason = "refusal"
        delta = {"stop_reason": reason, "stop_sequence": stop}
        return _event("message_delta", delta=delta, usage=_usage(piece.usage)) + _event("message_stop")

    def _open(self, **block: Any) -> bytes:
        return _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, **delta: Any) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> bytes:
        self._index += 1
        return _event("content_block_stop", index=self._index - 1)


def _event(kind: str, **members: Any) -> bytes:
    return events.named_event(kind, encode({"type": kind, **members}))


def _usage(usage: Usage | None) -> dict[str, Any]:
    """All of it in the last event, input too: chat says nothing before. Zeros where the upstream says nothing."""
    usage = usage or Usage()
    said: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return said


def _names(request: Request) -> dict[str, str]:
    """Chat's name -> the caller's, of those tools whose name chat does not take."""
    tools = objects(members.decoded(request.fields.get("tools", NULL), "tools"))
    named = {chat_name(tool["name"]): tool["name"] for tool in tools if isinstance(tool.get("name"), str)}
    return {there: name for there, name in named.items() if there != name}
