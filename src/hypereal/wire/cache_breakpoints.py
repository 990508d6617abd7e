"""Where a Messages request may mark a prefix for the vendor's cache, and the request with the marks set.

Only for requests without any `cache_control` of the caller's. A mark is spliced in: every other byte stays as it came,
since the vendor matches prefixes. Which of the places are worth their price is not known here: `gateway/cache_economy`.
Source of the rules: the vendor's prompt caching page.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from hypereal.wire.members import UNREADABLE, Fields

BYTES_PER_TOKEN_MOST = 5
"""A prefix is taken to have no fewer tokens than a fifth of its bytes: below the least length a mark does nothing."""
CACHEABLE = frozenset({"text", "image", "document", "tool_use", "tool_result"})
"""Blocks that may be marked. Thinking may not, and an empty text may not: the vendor answers 400."""
CALLERS_JSON = frozenset({"input", "input_schema", "input_examples"})
"""Members whose content is the caller's, whatever its names are."""

_MARK = b'"cache_control":{"type":"ephemeral"}'
_NAME = b'"cache_control"'
_DEFERRED = b'"defer_loading"'
_BEFORE_TEXT, _AFTER_TEXT = b'[{"type":"text","text":', b"," + _MARK + b"}]"
_SPACE = b" \t\n\r"
_CHANGES_SYSTEM = ("speed",)
_CHANGES_MESSAGES = ("tool_choice", "thinking")
"""Members that make other prefixes of the same blocks: those of the system text and later, those of messages."""

_key = re.compile(rb'[ \t\n\r]*"(?:[^"\\]|\\.)*"[ \t\n\r]*:[ \t\n\r]*').match
_inline = re.compile(rb'"data"[ \t\n\r]*:[ \t\n\r]*"[^"\\]*"').finditer
_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

Insertion = tuple[int, bytes]
"""Where, counted in the value as it came, and what."""
Span = tuple[int, int]


class Place(IntEnum):
    """Where a prefix ends, the shortest first. There are as many as a request may have marks."""

    TOOLS = 0
    SYSTEM = 1
    TURN = 2
    """Before the last message of the assistant: where the request of the turn before ended."""
    END = 3


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """A part of a request from its start, long enough to be cached."""

    place: Place
    digest: int
    """The same for the same bytes. No secret and no proof: a collision costs a write."""
    size_bytes: int


class _Tool(msgspec.Struct, gc=False):
    name: str = ""
    type: str = ""
    defer_loading: bool = False


class _Message(msgspec.Struct, gc=False):
    role: str = ""


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


_tool = msgspec.json.Decoder(_Tool)
_message = msgspec.json.Decoder(_Message)
_block = msgspec.json.Decoder(_Block)


class Prefixes:
    """The prefixes of one request that can be cached, shortest first."""

    __slots__ = ("_ends", "_fields", "_messages", "found")

    def __init__(self, fields: Fields, messages: bytes) -> None:
        self._fields = fields
        self._messages = messages
        self._ends: dict[Place, Span] = {}
        self.found: list[Prefix] = []

    def mark(self, prefixes: Iterable[Prefix]) -> Fields:
        """The request's members with a mark at the end of each of PREFIXES, where a block there can carry one."""
        fields = dict(self._fields)
        in_messages: list[Insertion] = []
        for prefix in prefixes:
            try:
                if prefix.place is Place.TOOLS:
                    tools = bytes(fields["tools"])
                    fields["tools"] = _spliced(tools, _in_tools(tools))
                elif prefix.place is Place.SYSTEM:
                    system = bytes(fields["system"])
                    fields["system"] = _spliced(system, _in_content(system))
                else:
                    start, end = self._ends[prefix.place]
                    in_messages += [(start + at, what) for at, what in _in_message(self._messages[start:end])]
            except UNREADABLE:  # a block of no known shape: the vendor will say so
                continue
        if in_messages:
            fields["messages"] = _spliced(self._messages, sorted(in_messages))
        return fields

    def _find(self, least_bytes: int) -> None:
        """Fill `found`. Raises what decoding raises."""
        fields, messages = self._fields, self._messages
        size = digest = 0
        for place, name, kinds in ((Place.TOOLS, "tools", b"["), (Place.SYSTEM, "system", b'["')):
            value = bytes(fields.get(name, b""))
            digest = zlib.crc32(value, digest)
            size += len(value)
            if place is Place.SYSTEM:
                digest = _with(fields, _CHANGES_SYSTEM, digest)
            if value and value[0] in kinds and size >= least_bytes:
                self.found.append(Prefix(place, size << 32 | digest, size))
        digest = _with(fields, _CHANGES_MESSAGES, digest)
        done = 0
        for place, span in _turns(messages):
            end = span[1]
            digest = zlib.crc32(memoryview(messages)[done:end], digest)
            done = end
            if size + end >= least_bytes and size + _text_bytes(messages, end, least_bytes - size) >= least_bytes:
                self._ends[place] = span
                self.found.append(Prefix(place, size + end << 32 | digest, size + end))


def find_prefixes(fields: Fields, size_bytes: int, tokens_min: int) -> Prefixes | None:
    """What of a Messages request of SIZE_BYTES can be cached by a model that caches from TOKENS_MIN on.

    None where nothing can, where the caller marks prefixes itself, and where the request has a shape that the vendor
    will refuse: it goes on as it came.
    """
    least_bytes = tokens_min * BYTES_PER_TOKEN_MOST
    if size_bytes < least_bytes or "cache_control" in fields or "messages" not in fields:
        return None
    prefixes = Prefixes(fields, bytes(fields["messages"]))
    try:
        if not _is_marked(fields, prefixes._messages):
            prefixes._find(least_bytes)
    except UNREADABLE:
        return None
    return prefixes if prefixes.found else None


# -- reading -----------------------------------------------------------------------------------------------------------


def _is_marked(fields: Fields, messages: bytes) -> bool:
    """Whether the caller marks anything. The bytes alone may say that it does not; inside a string they never match."""
    for name in ("tools", "system", "messages"):
        value = messages if name == "messages" else bytes(fields.get(name, b""))
        if _NAME in value and _has_mark(msgspec.json.decode(value)):
            return True
    return False


def _has_mark(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_mark, value))
    if isinstance(value, dict):
        return "cache_control" in value or any(
            _has_mark(inner) for name, inner in value.items() if name not in CALLERS_JSON
        )
    return False


def _with(fields: Fields, names: Sequence[str], digest: int) -> int:
    for name in names:
        if name in fields:
            digest = zlib.crc32(bytes(fields[name]), zlib.crc32(name.encode(), digest))
    return digest


def _turns(messages: bytes) -> list[tuple[Place, Span]]:
    """The spans in MESSAGES of the message that ended the turn before, where there was one, and of the caller's last.

    What an assistant's message at the very end begins (a prefill) changes with the next turn: it is left out.
    """
    entries = _list.decode(messages)
    found: list[tuple[Place, Span]] = []
    end, index = len(messages) - 1, len(entries) - 1
    is_before_assistant = False
    while index >= 0 and len(found) < 2:
        end = _back(messages, end)
        start = end - len(memoryview(entries[index]))
        is_assistant = _message.decode(entries[index]).role == "assistant"
        if not is_assistant and (not found or is_before_assistant):
            found.append((Place.TURN if found else Place.END, (start, end)))
        is_before_assistant = is_assistant
        end, index = _back(messages, start) - 1, index - 1
    return found[::-1]


def _text_bytes(messages: bytes, end: int, enough: int) -> int:
    """Bytes of MESSAGES up to END without those of files in base64, which stand for far fewer tokens."""
    if enough <= 0:
        return end
    return end - sum(found.end() - found.start() for found in _inline(messages, 0, end))


# -- marking -----------------------------------------------------------------------------------------------------------


def _spliced(value: bytes, insertions: Sequence[Insertion]) -> msgspec.Raw:
    parts, at = [], 0
    for place, what in insertions:
        parts += [value[at:place], what]
        at = place
    return msgspec.Raw(b"".join([*parts, value[at:]]))


def _in_tools(tools: bytes) -> list[Insertion]:
    """Into the last one that is loaded from the start; nearly always it is the last."""
    end = _back(tools, len(tools) - 1)
    if _DEFERRED not in tools and tools[end - 1 : end] == b"}" and tools[_back(tools, end - 1) - 1] != ord("{"):
        return [(end - 1, b"," + _MARK)]
    return _in_list(tools, _takes_mark_as_tool)


def _in_message(message: bytes) -> list[Insertion]:
    """Nothing where its content cannot be told for sure (members that stand twice)."""
    at = 1
    for name, raw in _object.decode(message).items():
        key = _key(message, at)
        value = bytes(raw)
        if key is None or not message.startswith(value, key.end()):
            return []
        if name == "content":
            return [(key.end() + at, what) for at, what in _in_content(value)]
        at = _forward(message, key.end() + len(value)) + 1
    return []


def _in_content(content: bytes) -> list[Insertion]:
    """A text becomes a list of one block, and only then."""
    if content[:1] == b"[":
        return _in_list(content, _takes_mark)
    if content[:1] == b'"' and msgspec.json.decode(content).strip():
        return [(0, _BEFORE_TEXT), (len(content), _AFTER_TEXT)]
    return []


def _in_list(value: bytes, takes_mark: Callable[[msgspec.Raw], bool]) -> list[Insertion]:
    """Into the last object of the list VALUE that TAKES_MARK."""
    end = len(value) - 1
    for entry in reversed(_list.decode(value)):
        end = _back(value, end)
        if takes_mark(entry):
            return [(end - 1, b"," + _MARK)]
        end = _back(value, end - len(memoryview(entry))) - 1
    return []


def _takes_mark(block: msgspec.Raw) -> bool:
    read = _block.decode(block)
    return read.type in CACHEABLE and (read.type != "text" or bool((read.text or "").strip()))


def _takes_mark_as_tool(tool: msgspec.Raw) -> bool:
    """A tool that is loaded on demand is no part of the prefix, and the vendor refuses a mark on it."""
    read = _tool.decode(tool)
    return not read.defer_loading and bool(read.name or read.type)


def _back(value: bytes, end: int) -> int:
    """END without the white space before it."""
    while value[end - 1] in _SPACE:
        end -= 1
    return end


def _forward(value: bytes, at: int) -> int:
    """AT without the white space there."""
    while value[at] in _SPACE:
        at += 1
    return at
