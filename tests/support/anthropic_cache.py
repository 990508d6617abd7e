"""Anthropic's prompt cache, simulated by the vendor's rules: what a request reads, writes and is refused for.

`AnthropicCache.ask` is pure but for the cache itself: the time is given. `answers` puts it behind a scripted upstream.
Where the rules leave room, the simulation takes the dearer reading: a look-back of 20 blocks counts the marked one, and
an entry is made only beyond what was read.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support import upstream, vendors

MARKS_MAX = 4
LOOK_BACK_BLOCKS = 20
TTL_S = {"5m": 300.0, "1h": 3600.0}
IMAGE_TOKENS = 1_600
UNMARKABLE = ("thinking", "redacted_thinking")
LEVELS = {"system": ("speed",), "messages": ("tool_choice", "thinking")}
"""Members that change the prefix from this level on."""


class Refused(Exception):
    """A 400 of the vendor, with its message."""


@dataclass
class Answered:
    """The input side of one answer's `usage`."""

    input_tokens: int
    read_tokens: int
    write_5m_tokens: int
    write_1h_tokens: int

    @property
    def usage(self) -> dict[str, Any]:
        """As it stands in an answer."""
        return {
            "input_tokens": self.input_tokens,
            "cache_read_input_tokens": self.read_tokens,
            "cache_creation_input_tokens": self.write_5m_tokens + self.write_1h_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.write_5m_tokens,
                "ephemeral_1h_input_tokens": self.write_1h_tokens,
            },
        }


@dataclass
class _Entry:
    ttl_s: float
    until_s: float
    readable_s: float


@dataclass
class _Block:
    """One content block, tool or system block; NAME is that of the prefix which it ends."""

    name: bytes
    tokens: int
    """Of the prefix."""
    ttl: str | None
    """Of its mark."""


def tokens_of(text: str) -> int:
    """A quarter of the characters, rounded up."""
    return -(-len(text) // 4)


@dataclass
class AnthropicCache:
    """The cache of one workspace."""

    tokens_min: int | Mapping[str, int] = 4096
    """The least cacheable length, of all models or by model."""
    count: Callable[[str], int] = tokens_of
    first_byte_s: float = 0.0
    """An entry can be read once the answer of the request that made it has begun."""
    _entries: dict[bytes, _Entry] = field(default_factory=dict)

    def ask(self, body: Mapping[str, Any], now_s: float) -> Answered:
        """What the request BODY reads and writes at NOW_S. Raises Refused."""
        blocks = _blocks(body, self.count)
        marked = [index for index, block in enumerate(blocks) if block.ttl is not None]
        _check([blocks[index].ttl for index in marked])
        model = str(body.get("model"))
        least = self.tokens_min if isinstance(self.tokens_min, int) else self.tokens_min[model]
        hit = max((self._hit(blocks, index, now_s) for index in marked), default=-1)
        read = blocks[hit].tokens if hit >= 0 else 0
        written = {"5m": 0, "1h": 0}
        done = read
        for index in marked:
            block = blocks[index]
            assert block.ttl is not None
            if index <= hit or block.tokens < least:
                self._refresh(block.name, now_s)
                continue
            written[block.ttl] += block.tokens - done
            done = block.tokens
            ttl_s = TTL_S[block.ttl]
            self._entries[block.name] = _Entry(ttl_s, now_s + ttl_s, now_s + self.first_byte_s)
        if hit >= 0:
            self._refresh(blocks[hit].name, now_s)
        total = blocks[-1].tokens if blocks else 0
        return Answered(total - done, read, written["5m"], written["1h"])

    def answers(self, now_s: Callable[[], float]) -> Callable[[upstream.Recorded], upstream.Script]:
        """A handler for `Upstream.answer_all`: the default answers, whole or streamed, with this cache's usage."""

        def answer(recorded: upstream.Recorded) -> upstream.Script:
            try:
                said = self.ask(recorded.json, now_s()).usage
            except Refused as refused:
                error = {"type": "error", "error": {"type": "invalid_request_error", "message": str(refused)}}
                return upstream.plain(error, 400)
            usage = {**vendors.MESSAGES_USAGE, **said}
            if recorded.wants_stream:
                return upstream.stream(vendors.messages_events(usage=usage))
            return upstream.plain(vendors.messages_answer(usage=usage))

        return answer

    def _hit(self, blocks: list[_Block], index: int, now_s: float) -> int:
        """The last block that the mark at INDEX finds in the cache; -1: none."""
        for at in range(index, max(-1, index - LOOK_BACK_BLOCKS), -1):
            entry = self._entries.get(blocks[at].name)
            if entry is not None and entry.readable_s <= now_s < entry.until_s:
                return at
        return -1

    def _refresh(self, name: bytes, now_s: float) -> None:
        entry = self._entries.get(name)
        if entry is not None and now_s < entry.until_s:
            entry.until_s = now_s + entry.ttl_s


def _check(ttls: list[str | None]) -> None:
    if len(ttls) > MARKS_MAX:
        raise Refused(f"A maximum of {MARKS_MAX} blocks with cache_control may be provided. Found {len(ttls)}.")
    if "1h" in ttls[ttls.index("5m") if "5m" in ttls else len(ttls) :]:
        raise Refused("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")


def _blocks(body: Mapping[str, Any], count: Callable[[str], int]) -> list[_Block]:
    """Tools, system and messages in the order in which they are matched. Raises Refused for marks where none may be."""
    found: list[_Block] = []
    name, tokens = hashlib.sha256(str(body.get("model")).encode()).digest(), 0
    for level, blocks in _levels(body):
        name = hashlib.sha256(name + _changes(level, body)).digest()
        for block in blocks:
            ttl = _ttl(block)
            plain = json.dumps(_unmarked(block), sort_keys=True, ensure_ascii=False)
            name = hashlib.sha256(name + plain.encode("utf-8", "surrogatepass")).digest()
            tokens += _tokens(block, plain, count)
            found.append(_Block(name, tokens, ttl))
    if body.get("cache_control") is not None and found:
        last = max((at for at, block in enumerate(_flat(body)) if _is_markable(block)), default=None)
        if last is not None and found[last].ttl is None:
            found[last].ttl = body["cache_control"].get("ttl", "5m")
    return found


def _levels(body: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """A tool that is loaded on demand stands in no prefix."""
    tools = body.get("tools") or []
    if any(tool.get("defer_loading") and tool.get("cache_control") for tool in tools):
        raise Refused("Tools with defer_loading cannot have cache_control set.")
    yield "tools", [tool for tool in tools if not tool.get("defer_loading")]
    yield "system", _as_blocks(body.get("system") or [])
    yield (
        "messages",
        [{**block, "role": one["role"]} for one in body["messages"] for block in _as_blocks(one["content"])],
    )


def _flat(body: Mapping[str, Any]) -> list[Any]:
    return [block for _, blocks in _levels(body) for block in blocks]


def _as_blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _changes(level: str, body: Mapping[str, Any]) -> bytes:
    """What names another prefix from LEVEL on, though the blocks are the same."""
    said = [body.get(member) for member in LEVELS.get(level, ())]
    has_images = level == "messages" and '"type": "image"' in json.dumps(body["messages"])
    return json.dumps([level, said, has_images]).encode()


def _ttl(block: Mapping[str, Any]) -> str | None:
    """The life that the mark of BLOCK asks for; a mark inside a tool's result is its block's."""
    marks = [block.get("cache_control")]
    if isinstance(block.get("content"), list):
        marks += [inner.get("cache_control") for inner in block["content"]]
    marks = [mark for mark in marks if mark is not None]
    if not marks:
        return None
    if block.get("type") in UNMARKABLE:
        raise Refused(f"cache_control is not permitted on {block['type']} blocks.")
    if not _is_markable(block):
        raise Refused("cache_control cannot be set for empty text blocks")
    return str(marks[0].get("ttl", "5m"))


def _is_markable(block: Mapping[str, Any]) -> bool:
    return block.get("type") not in UNMARKABLE and (block.get("type") != "text" or bool(block["text"].strip()))


def _unmarked(block: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in block.items() if name != "cache_control"}
    if isinstance(plain.get("content"), list):
        plain["content"] = [_unmarked(inner) for inner in plain["content"]]
    return plain


def _tokens(block: Mapping[str, Any], plain: str, count: Callable[[str], int]) -> int:
    return IMAGE_TOKENS if block.get("type") == "image" else count(plain)
