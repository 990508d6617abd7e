"""Callers' bodies over a bridge and chat answers back, as objects: what tests of bridges share."""

import json
from collections.abc import Sequence
from typing import Any

from hypereal.kit.dialects import Dialect
from hypereal.wire import BRIDGES, DIALECTS, Profile, Request
from hypereal.wire.profiles import PROFILES

LOCAL = PROFILES["local"]
ANSWER_ID = "0123456789abcdef00000001"
TAKES_ALL = Profile(takes_reasoning=True, takes_signatures=True, efforts=("low", "high"))
"""A vendor that refuses nothing."""


def read(dialect: Dialect, body: dict[str, Any]) -> Request:
    """BODY as the gateway reads it; Gemini's model comes in the path."""
    named = body if dialect is Dialect.GEMINI else {"model": "m", **body}
    path = {"model": "m", "stream": False} if dialect is Dialect.GEMINI else {}
    return DIALECTS[dialect].read(json.dumps(named).encode(), **path)


def sent(dialect: Dialect, body: dict[str, Any], profile: Profile = TAKES_ALL) -> dict[str, Any]:
    """What the upstream gets of BODY."""
    request = BRIDGES[dialect, Dialect.OPENAI_CHAT].request(read(dialect, body), profile)
    made: dict[str, Any] = json.loads(DIALECTS[Dialect.OPENAI_CHAT].write(request, "up", profile))
    return made


def replied(dialect: Dialect, body: dict[str, Any], answer: dict[str, Any], profile: Profile = TAKES_ALL) -> Any:
    """What the caller of BODY gets of the upstream's plain ANSWER."""
    bridge = BRIDGES[dialect, Dialect.OPENAI_CHAT]
    return json.loads(bridge.answer(json.dumps(answer).encode(), read(dialect, body), profile, ANSWER_ID))


def streamed(dialect: Dialect, body: dict[str, Any], *reads: bytes, profile: Profile = TAKES_ALL) -> bytes:
    """What the caller of BODY gets of the upstream's whole events, READS; an error as the gateway tells it."""
    through = BRIDGES[dialect, Dialect.OPENAI_CHAT].stream(read(dialect, body), profile, ANSWER_ID)
    told = b"".join([through.feed(each) for each in reads]) + through.end()
    if through.failure is not None:
        told += DIALECTS[dialect].error_event(through.failure, f"req_{ANSWER_ID}", model="m", tail=told)
    return told


def events_of(stream: bytes) -> list[Any]:
    """The objects in STREAM."""
    return [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: ")]


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: Any) -> bytes:
    """A chunk of a chat stream; DELTA None: without choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return event({"id": "chatcmpl-7", "created": 1790000000, "model": "up-1", "choices": choices, **members})


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}


def answer(message: dict[str, Any], finish: str = "stop", **members: Any) -> dict[str, Any]:
    """A whole chat answer."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "chatcmpl-7", "created": 1790000000, "model": "up-1", "choices": [choice], "usage": USAGE} | members


def call(call_id: str, name: str, arguments: str, signature: str = "") -> dict[str, Any]:
    """A call in a chat message."""
    made: dict[str, Any] = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return made | ({"extra_content": {"google": {"thought_signature": signature}}} if signature else {})


def pieces(message: dict[str, Any], cuts: Sequence[int]) -> list[dict[str, Any]]:
    """MESSAGE as the deltas of a stream, its strings cut after so many characters; calls come one after the other."""
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    for member in ("reasoning_content", "content"):
        deltas += [{member: part} for part in _cut(message.get(member) or "", cuts)]
    for index, whole in enumerate(message.get("tool_calls", ())):
        function = whole["function"]
        deltas.append({"tool_calls": [{**whole, "index": index, "function": {**function, "arguments": ""}}]})
        for part in _cut(function["arguments"], cuts):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    return deltas + ([{"extra_content": message["extra_content"]}] if "extra_content" in message else [])


def _cut(text: str, cuts: Sequence[int]) -> list[str]:
    parts = []
    for cut in cuts:
        parts.append(text[:cut])
        text = text[cut:]
    return [part for part in (*parts, text) if part]
