"""Output items of a response and the events of their lives: added empty, filled, done whole.

The events lack their number, which is the stream's. Order of events: the types of openai-python 3.54.
"""

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from hypereal.wire.bridges.chat_answers import Block, Kind
from hypereal.wire.bridges.opaque import seal
from hypereal.wire.bridges.responses_to_chat.tools import INPUT, TOOL_SEARCH, Tool
from hypereal.wire.members import UNREADABLE

Event = dict[str, Any]

_arguments = msgspec.json.Decoder(dict[str, Any])


class Item(ABC):
    """One output item; `whole` is it once it has ended."""

    prefix = ""
    """Of its id."""

    def __init__(self, base: str, index: int) -> None:
        """BASE makes the ids of one response differ from those of others, INDEX from each other."""
        self.id = f"{self.prefix}_{base}_{index}"
        self.whole: dict[str, Any] = {}
        self._at = {"output_index": index}

    @abstractmethod
    def begin(self) -> list[Event]:
        """It is added."""

    def grow(self, text: str) -> list[Event]:
        """TEXT was added to its block."""
        return []

    @abstractmethod
    def end(self, block: Block) -> list[Event]:
        """Its BLOCK is whole."""

    def _added(self, **members: Any) -> Event:
        return {"type": "response.output_item.added", **self._at, "item": {"id": self.id, **members}}

    def _done(self, **members: Any) -> Event:
        self.whole = {"id": self.id, **members}
        return {"type": "response.output_item.done", **self._at, "item": self.whole}

    def _event(self, kind: str, /, **members: Any) -> Event:
        return {"type": f"response.{kind}", "item_id": self.id, **self._at, **members}


class MessageItem(Item):
    """A message with one part: text, or a refusal."""

    prefix = "msg"

    def __init__(self, base: str, index: int, *, is_refusal: bool) -> None:
        super().__init__(base, index)
        self._is_refusal = is_refusal
        self._name = "refusal" if is_refusal else "output_text"
        self._more: dict[str, Any] = {} if is_refusal else {"logprobs": []}

    def begin(self) -> list[Event]:
        return [
            self._added(type="message", role="assistant", status="in_progress", content=[]),
            self._event("content_part.added", content_index=0, part=self._part("")),
        ]

    def grow(self, text: str) -> list[Event]:
        return [self._event(f"{self._name}.delta", content_index=0, delta=text, **self._more)]

    def end(self, block: Block) -> list[Event]:
        text = block.text
        said = {"refusal" if self._is_refusal else "text": text}
        return [
            self._event(f"{self._name}.done", content_index=0, **said, **self._more),
            self._event("content_part.done", content_index=0, part=self._part(text)),
            self._done(type="message", role="assistant", status="completed", content=[self._part(text)]),
        ]

    def _part(self, text: str) -> dict[str, Any]:
        if self._is_refusal:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class ReasoningItem(Item):
    """Reasoning: shown as a summary, or only kept with the caller."""

    prefix = "rs"

    def __init__(self, base: str, index: int, *, is_shown: bool) -> None:
        super().__init__(base, index)
        self._is_shown = is_shown

    def begin(self) -> list[Event]:
        added = self._added(type="reasoning", summary=[])
        if not self._is_shown:
            return [added]
        part = {"type": "summary_text", "text": ""}
        return [added, self._event("reasoning_summary_part.added", summary_index=0, part=part)]

    def grow(self, text: str) -> list[Event]:
        return [self._event("reasoning_summary_text.delta", summary_index=0, delta=text)] if self._is_shown else []

    def end(self, block: Block) -> list[Event]:
        text = block.text
        if not self._is_shown:
            return [self._done(type="reasoning", summary=[], encrypted_content=seal(text=text))]
        part = {"type": "summary_text", "text": text}
        return [
            self._event("reasoning_summary_text.done", summary_index=0, text=text),
            self._event("reasoning_summary_part.done", summary_index=0, part=part),
            self._done(type="reasoning", summary=[part], encrypted_content=seal()),
        ]


class SignatureItem(Item):
    """A thought signature of Google's, which this dialect has no other place for."""

    prefix = "rs"

    def begin(self) -> list[Event]:
        return [self._added(type="reasoning", summary=[])]

    def end(self, block: Block) -> list[Event]:
        sealed = seal(call=block.id, signature=block.signature)
        return [self._done(type="reasoning", summary=[], encrypted_content=sealed)]


class FunctionItem(Item):
    """A call of a function, in a namespace or not. Its arguments go out as they come."""

    prefix = "fc"

    def __init__(self, base: str, index: int, tool: Tool, call_id: str) -> None:
        super().__init__(base, index)
        self._name = tool.name
        self._call = {"type": "function_call", "call_id": call_id, "name": tool.name}
        if tool.namespace:
            self._call["namespace"] = tool.namespace

    def begin(self) -> list[Event]:
        return [self._added(**self._call, arguments="", status="in_progress")]

    def grow(self, text: str) -> list[Event]:
        return [self._event("function_call_arguments.delta", delta=text)]

    def end(self, block: Block) -> list[Event]:
        text = block.text or "{}"
        return [
            self._event("function_call_arguments.done", name=self._name, arguments=text),
            self._done(**self._call, arguments=text, status="completed"),
        ]


class CustomItem(Item):
    """A call of a custom tool: its text stands inside JSON in chat, so it goes out once that is whole."""

    prefix = "ctc"

    def __init__(self, base: str, index: int, tool: Tool, call_id: str) -> None:
        super().__init__(base, index)
        self._call = {"type": "custom_tool_call", "call_id": call_id, "name": tool.name}
        if tool.namespace:
            self._call["namespace"] = tool.namespace

    def begin(self) -> list[Event]:
        return [self._added(**self._call, input="")]

    def end(self, block: Block) -> list[Event]:
        said = _decoded(block).get(INPUT)
        text = said if isinstance(said, str) else block.text
        return [
            self._event("custom_tool_call_input.delta", delta=text),
            self._event("custom_tool_call_input.done", input=text),
            self._done(**self._call, input=text),
        ]


class SearchItem(Item):
    """A call of the client's own search for tools."""

    prefix = "tsc"

    def __init__(self, base: str, index: int, call_id: str) -> None:
        super().__init__(base, index)
        self._call = {"type": "tool_search_call", "call_id": call_id, "execution": "client"}

    def begin(self) -> list[Event]:
        return [self._added(**self._call, arguments={}, status="in_progress")]

    def end(self, block: Block) -> list[Event]:
        return [self._done(**self._call, arguments=block.arguments or {}, status="completed")]


def item_of(block: Block, tool: Tool, base: str, index: int, *, shows_reasoning: bool) -> Item:
    """The item that BLOCK becomes; TOOL is what a call's function stands for."""
    match block.kind:
        case Kind.REASONING:
            return ReasoningItem(base, index, is_shown=shows_reasoning)
        case Kind.CALL if tool.kind == "custom":
            return CustomItem(base, index, tool, block.id)
        case Kind.CALL if tool.kind == TOOL_SEARCH:
            return SearchItem(base, index, block.id)
        case Kind.CALL:
            return FunctionItem(base, index, tool, block.id)
        case Kind.SIGNATURE:
            return SignatureItem(base, index)
    return MessageItem(base, index, is_refusal=block.kind is Kind.REFUSAL)


def _decoded(block: Block) -> dict[str, Any]:
    arguments = block.arguments
    try:
        return {} if arguments is None else _arguments.decode(arguments)
    except UNREADABLE:
        return {}
