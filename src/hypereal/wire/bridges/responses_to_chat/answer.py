"""A chat answer as the events of a response. What its clients need: clients.md 4.2, 4.5 and 4.6."""

from typing import Any, assert_never

import msgspec

from hypereal.kit.clock import coarse
from hypereal.kit.usage import Usage
from hypereal.wire import events, members
from hypereal.wire.bridges.chat_answers import Begun, Block, Ended, Finished, Grown, Opened, Piece
from hypereal.wire.bridges.responses_to_chat.items import Event, Item, SignatureItem, item_of
from hypereal.wire.bridges.responses_to_chat.tools import FlatTools, offered
from hypereal.wire.folding.decoding import mapping
from hypereal.wire.members import FALSE, NULL, encode
from hypereal.wire.request import Request

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Members of the request that its response says again, and what it says where the caller said nothing."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish reasons that leave a response incomplete."""


class ResponsesWriter:
    """The events of one answer. Each block is an output item; they follow each other."""

    def __init__(self, request: Request) -> None:
        self._tools = FlatTools(offered(_decoded(request, "tools"), _bringing_tools(request)))
        self._shows_reasoning = mapping(_decoded(request, "reasoning")).get("summary") is not None
        self._id = ""
        """What the ids of this response are made of."""
        self._response = _response(request)
        self._output: list[dict[str, Any]] = []
        self._item: Item | None = None
        self._number = 0
        self._signed: set[str] = set()
        """Calls whose signature is out."""

    def write(self, piece: Piece) -> bytes:
        """The events that PIECE is; none where it says nothing here."""
        match piece:
            case Begun() | Grown() | Ended() if piece.block.choice:
                return b""  # this dialect has one choice only
            case Opened():
                parts = self._open(piece)
            case Begun():
                parts = self._begin(piece.block)
            case Grown():
                parts = [] if self._item is None else self._item.grow(piece.text)
            case Ended():
                parts = self._end(piece.block)
            case Finished():
                parts = self._finish(piece)
            case _:
                assert_never(piece)
        return b"".join([self._numbered(part) for part in parts])

    def _open(self, piece: Opened) -> list[Event]:
        self._id = piece.id
        self._response["created_at"] = piece.created_unix_s or self._response["created_at"]
        return [self._told("created"), self._told("in_progress")]

    def _begin(self, block: Block) -> list[Event]:
        before = self._sign(block) if block.name else []
        tool = self._tools.tool(block.name)
        self._item = item_of(block, tool, self._id, len(self._output), shows_reasoning=self._shows_reasoning)
        return [*before, *self._item.begin()]

    def _end(self, block: Block) -> list[Event]:
        if self._item is None:
            return []
        ended = self._close(self._item, block)
        self._item = None
        return [*ended, *(self._sign(block) if block.name else [])]

    def _sign(self, call: Block) -> list[Event]:
        """The item that keeps a call's signature, once; where the signature comes late it is behind the call."""
        if not call.signature or call.id in self._signed:
            return []
        self._signed.add(call.id)
        item = SignatureItem(self._id, len(self._output))
        return [*item.begin(), *self._close(item, call)]

    def _close(self, item: Item, block: Block) -> list[Event]:
        ended = item.end(block)
        self._output.append(item.whole)
        return ended

    def _finish(self, piece: Finished) -> list[Event]:
        why = _INCOMPLETE.get(piece.finishes[min(piece.finishes)].reason)
        status = "completed" if why is None else "incomplete"
        details = None if why is None else {"reason": why}
        usage = _usage(piece.usage)
        return [self._told(status, status=status, incomplete_details=details, output=self._output, usage=usage)]

    def _told(self, name: str, **members: Any) -> Event:
        """The response as it is now."""
        response = {"id": f"resp_{self._id}", **self._response, **members}
        return {"type": f"response.{name}", "response": response}

    def _numbered(self, event: Event) -> bytes:
        number = self._number
        self._number += 1
        name = event["type"]
        return events.named_event(name, encode({"type": name, "sequence_number": number, **event}))


def _response(request: Request) -> dict[str, Any]:
    """The response before anything is said."""
    echoed = {
        name: value if (raw := request.fields.get(name, NULL)) == NULL else _on_one_line(raw)
        for name, value in _ECHOED.items()
    }
    fixed = {
        "object": "response",
        "created_at": int(coarse.unix_s),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": request.model,
        "output": [],
        "previous_response_id": request.continues,
        "store": request.fields.get("store") != FALSE,
        "usage": None,
    }
    return fixed | echoed


def _on_one_line(raw: msgspec.Raw) -> msgspec.Raw:
    """An event's data cannot have line ends; JSON can only have them between its tokens."""
    text = bytes(raw)
    return msgspec.Raw(msgspec.json.format(text, indent=-1)) if b"\n" in text or b"\r" in text else raw


def _decoded(request: Request, name: str) -> Any:
    return members.decoded(request.fields.get(name, NULL), name)


def _bringing_tools(request: Request) -> Any:
    """The conversation, where it brings tools: it is long, and mostly does not."""
    raw = bytes(request.fields.get("input", NULL))
    is_bringing = b"tool_search_output" in raw or b"additional_tools" in raw
    return _decoded(request, "input") if is_bringing else None


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens_total + usage.output_tokens,
    }
