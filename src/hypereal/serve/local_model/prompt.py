"""What a caller asks, in any dialect, as plain turns of text that fit the model's window. Pure functions.

A model of 135 million parameters reads text only: tools are left out, their past calls and results are told as text,
images are refused. Sources of the shapes: the vendors' API references, and recordings of the agents.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest

CONTEXT_TOKENS = 2048
"""A prompt token costs 8..10 ms on two cores, so a longer window would make agents wait for minutes."""
OUTPUT_TOKENS_DEFAULT = 512
OUTPUT_TOKENS_MAX = 1024
CHARACTERS_PER_TOKEN_MAX = 8
FIT_TRIES_MAX = 10
TEXT_DEPTH_MAX = 8
CUT = "\n[...]\n"

LIMITS = {
    Dialect.OPENAI_CHAT: ("max_completion_tokens", "max_tokens"),
    Dialect.ANTHROPIC_MESSAGES: ("max_tokens",),
    Dialect.OPENAI_RESPONSES: ("max_output_tokens",),
}
PASSED_ON = {
    Dialect.OPENAI_CHAT: (
        *("temperature", "top_p", "top_k", "seed", "stop", "n", "frequency_penalty", "presence_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "response_format", "stream_options"),
    ),
    Dialect.ANTHROPIC_MESSAGES: ("temperature", "top_p", "top_k", "stop_sequences"),
    Dialect.OPENAI_RESPONSES: ("temperature", "top_p"),
}
IMAGES = frozenset({"image_url", "input_image", "image", "input_audio", "file", "input_file", "document"})
CALLS = frozenset({"tool_use", "function_call", "custom_tool_call", "server_tool_use"})


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A message: role system, user or assistant."""

    role: str
    text: str = msgspec.field(name="content")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    dialect: Dialect
    model: str
    """As the caller wrote it; answers echo it."""
    stream: bool
    turns: tuple[Turn, ...]
    output_tokens_max: int
    is_callers_limit: bool
    """Whether the caller itself asked for no more than that."""
    options: Mapping[str, Any]

    def engine_body(self, turns: Sequence[Turn]) -> dict[str, Any]:
        """The request to the engine's endpoint of the same dialect, with TURNS for the conversation."""
        is_responses = self.dialect is Dialect.OPENAI_RESPONSES
        messages = [_responses_item(turn) if is_responses else msgspec.to_builtins(turn) for turn in turns]
        member = "input" if is_responses else "messages"
        limit = LIMITS[self.dialect][-1]
        return {**self.options, member: messages, limit: self.output_tokens_max, "stream": self.stream}


def read(dialect: Dialect, body: bytes | bytearray) -> Asked:
    """The call in BODY. Raises InvalidRequest."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not a JSON object: {error}") from None
    turns = tuple(turn for turn in _turns(fields) if turn.text)
    if not turns:
        raise InvalidRequest("There is no text to answer: give messages (or input) with some text.")
    given = next((fields[name] for name in LIMITS[dialect] if fields.get(name) is not None), None)
    if given is not None and (not isinstance(given, int) or given < 1):
        raise InvalidRequest(f"{LIMITS[dialect][-1]} must be a whole number of at least 1.")
    options = {name: fields[name] for name in PASSED_ON[dialect] if fields.get(name) is not None}
    if dialect is Dialect.OPENAI_RESPONSES and (shape := _json_shape(fields)) is not None:
        options["response_format"] = shape
    return Asked(
        dialect=dialect,
        model=str(fields.get("model") or "local"),
        stream=fields.get("stream") is True,
        turns=turns,
        output_tokens_max=min(given or OUTPUT_TOKENS_DEFAULT, OUTPUT_TOKENS_MAX),
        is_callers_limit=given is not None and given <= OUTPUT_TOKENS_MAX,
        options=options,
    )


def _responses_item(turn: Turn) -> dict[str, Any]:
    part = "output_text" if turn.role == "assistant" else "input_text"
    return {"type": "message", "role": turn.role, "content": [{"type": part, "text": turn.text}]}


async def fit(
    turns: Sequence[Turn], tokens_max: int, count: Callable[[Sequence[Turn]], Awaitable[int]]
) -> tuple[Sequence[Turn], bool]:
    """TURNS in at most TOKENS_MAX tokens as COUNT counts them, and whether something was cut. Raises InvalidRequest."""
    size = sum(len(turn.text) for turn in turns)
    keep = min(size, tokens_max * CHARACTERS_PER_TOKEN_MAX)
    for _ in range(FIT_TRIES_MAX):
        short = shorten(turns, keep)
        tokens = await count(short)
        if tokens <= tokens_max:
            return short, keep < size
        keep = int(keep * 0.95 * tokens_max / tokens)
    raise InvalidRequest("The prompt cannot be cut to the window of the local model.")


def shorten(turns: Sequence[Turn], keep: int) -> Sequence[Turn]:
    """The first third and the last two thirds of KEEP characters of the conversation; turns in between vanish."""
    size = sum(len(turn.text) for turn in turns)
    if size <= keep:
        return turns
    head_end, tail_start = keep // 3, size - (keep - keep // 3)
    kept = []
    start = 0
    for turn in turns:
        head = turn.text[: max(0, head_end - start)]
        tail = turn.text[max(0, tail_start - start) :]
        if head or tail:
            is_whole = len(head) == len(turn.text) or len(tail) == len(turn.text)
            text = turn.text if is_whole else head + CUT + tail
            kept.append(Turn(role=turn.role, text=text))
        start += len(turn.text)
    return kept


def _turns(fields: Mapping[str, Any]) -> Iterator[Turn]:
    for member in ("system", "instructions"):
        yield Turn(role="system", text=_text(fields.get(member)))
    said = fields.get("messages", fields.get("input"))
    if isinstance(said, str):
        yield Turn(role="user", text=said)
        return
    for item in said if isinstance(said, list) else ():
        if isinstance(item, dict):
            yield _turn(item)


def _turn(item: Mapping[str, Any]) -> Turn:
    """One message, or one item of a Responses input (agents leave its `type` out where it is a message)."""
    kind = item.get("type") or "message"
    if kind == "message":
        role = {"developer": "system", "system": "system", "assistant": "assistant"}.get(str(item.get("role")), "user")
        calls = item.get("tool_calls")
        said = [_text(item.get("content")), *(_call(call) for call in (calls if isinstance(calls, list) else ()))]
        return Turn(role=role, text="\n".join(part for part in said if part))
    if kind in CALLS:
        return Turn(role="assistant", text=_call(item))
    return Turn(role="user", text=_text(item.get("output")))


def _text(content: object, depth: int = 0) -> str:
    """The text in a content: a string, or parts of which some hold parts. Raises InvalidRequest for images."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and depth < TEXT_DEPTH_MAX:
        return "\n".join(text for text in (_text(part, depth + 1) for part in content) if text)
    if not isinstance(content, dict):
        return ""
    kind = content.get("type")
    if kind in IMAGES:
        raise InvalidRequest("The local model reads text only: it takes no images, audio or files.", param="messages")
    if kind in CALLS:
        return _call(content)
    return _text(content.get("text", content.get("content")), depth + 1)


def _call(call: object) -> str:
    if not isinstance(call, dict):
        return ""
    function = call.get("function")
    named = function if isinstance(function, dict) else call
    arguments = named.get("arguments", named.get("input", ""))
    shown = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return f"[used {named.get('name')} with {shown}]"


def _json_shape(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `text.format` of Responses as chat has it; the engine does not know it in Messages."""
    text = fields.get("text")
    shape = text.get("format") if isinstance(text, dict) else None
    match shape:
        case {"type": "json_schema", "schema": schema}:
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        case {"type": "json_object"}:
            return {"type": "json_object"}
    return None
