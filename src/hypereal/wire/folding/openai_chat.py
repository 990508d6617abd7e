"""Chat chunks into one completion and back. Deltas: docs of OpenAI's chat streaming, and its vendors' own members."""

from typing import Any

from hypereal.wire import events
from hypereal.wire.folding.decoding import answer_object, mapping, objects, position, stream_objects, unusable
from hypereal.wire.members import encode

_APPENDED = {"content", "reasoning_content", "reasoning", "refusal", "arguments", "input", "data", "transcript"}
"""Members whose string comes in pieces. Of all others the last word counts."""

_PIECE = {"index", "delta", "message", "usage"}
"""Members of a choice in a chunk that are not simply those of the whole choice."""


def fold(stream: bytes) -> bytes:
    """The completion that the chunks of STREAM make. Raises UpstreamFailed where there is no choice in it."""
    answer: dict[str, Any] = {"id": "", "object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in stream_objects(stream):
        for piece in objects(chunk.get("choices")):
            index = position(piece.get("index"))
            choice = choices.setdefault(index, {"index": index, "message": {"role": "assistant", "content": None}})
            _merge(choice["message"], mapping(piece.get("delta")))
            rest = {name: value for name, value in piece.items() if name not in _PIECE}
            _merge(choice, rest)
            _merge(answer, {"usage": piece.get("usage")})
        answer |= {k: v for k, v in chunk.items() if v is not None and k not in ("choices", "object")}
    if not choices:
        raise unusable()
    for choice in choices.values():
        choice.setdefault("finish_reason", None)
        for call in objects(choice["message"].get("tool_calls")):
            call.pop("index", None)
    usage = answer.pop("usage", None)
    answer["choices"] = [choices[index] for index in sorted(choices)]
    return encode(answer | {"usage": usage} if usage else answer)


def unfold(body: bytes) -> bytes:
    """The stream of an upstream that was asked for usage: all content, the ends, the usage, `[DONE]`.

    Raises UpstreamFailed where BODY is no completion.
    """
    answer = answer_object(body)
    choices = objects(answer.pop("choices", None))
    if not choices:
        raise unusable()
    usage = answer.pop("usage", None)
    head = answer | {"object": "chat.completion.chunk"}
    contents = []
    for choice in choices:
        delta = dict(mapping(choice.get("message")))
        if calls := objects(delta.get("tool_calls")):
            delta["tool_calls"] = [{"index": number} | call for number, call in enumerate(calls)]
        rest = {name: value for name, value in choice.items() if name != "message"}
        contents.append(rest | {"delta": delta, "finish_reason": None})
    ends = [{"index": c.get("index", 0), "delta": {}, "finish_reason": c.get("finish_reason")} for c in choices]
    chunks = [head | {"choices": contents}, head | {"choices": ends}]
    if usage is not None:
        chunks.append(head | {"choices": [], "usage": usage})
    return b"".join(events.event(encode(chunk)) for chunk in chunks) + events.event(events.DONE)


def _merge(into: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        known = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif name == "tool_calls":
            into[name] = known or []
            for call in objects(value):
                _merge_call(into[name], call)
        elif isinstance(value, str) and isinstance(known, str) and name in _APPENDED:
            into[name] = known + value
        elif isinstance(value, list) and isinstance(known, list):
            known.extend(value)
        elif isinstance(value, dict) and isinstance(known, dict):
            _merge(known, value)
        elif value != "" or known is None:
            into[name] = value


def _merge_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """A tool call's pieces are matched by `index`; vendors that send calls whole leave it out."""
    index = piece.get("index")
    known = next((call for call in calls if index is not None and call.get("index") == index), None)
    if known is None:
        calls.append(piece)
    else:
        _merge(known, piece)
