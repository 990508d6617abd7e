"""Responses events into the response that ends them, and back. Order of events: the types of openai-python 3.54."""

from typing import Any

from hypereal.wire import events
from hypereal.wire.folding.decoding import answer_object, mapping, objects, position, stream_objects, unusable
from hypereal.wire.members import encode

_ENDINGS = {"completed", "incomplete", "failed"}


def fold(stream: bytes) -> bytes:
    """The response of the last event; some upstreams leave its `output` empty, then the items that were done fill it.

    Raises UpstreamFailed where the stream did not come to its end, or failed.
    """
    items: dict[int, dict[str, Any]] = {}
    for event in stream_objects(stream):
        name = str(event.get("type"))
        if name == "response.output_item.done":
            items[position(event.get("output_index"))] = mapping(event.get("item"))
        elif name.removeprefix("response.") in _ENDINGS:
            response = mapping(event.get("response"))
            if not response.get("output"):
                response["output"] = [items[index] for index in sorted(items)]
            return encode(response)
    raise unusable()


def unfold(body: bytes) -> bytes:
    """The stream of a response. Raises UpstreamFailed where BODY is none."""
    response = answer_object(body)
    if not isinstance(response.get("output"), list):
        raise unusable()
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    parts: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(objects(response["output"])):
        parts += [part | {"output_index": index} for part in _item_events(item)]
    status = str(response.get("status"))
    parts.append({"type": f"response.{status if status in _ENDINGS else 'completed'}", "response": response})
    numbered = ({"sequence_number": number} | part for number, part in enumerate(parts))
    return b"".join(events.named_event(part["type"], encode(part)) for part in numbered)


def _item_events(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The life of one output item: added empty, filled, done whole. Kinds we do not know come whole."""
    match item:
        case {"type": "message", "content": list(content)}:
            opening = item | {"status": "in_progress", "content": []}
            filling = [e for n, part in enumerate(objects(content)) for e in _part_events(n, part)]
        case {"type": "function_call", "arguments": str(arguments)}:
            opening = item | {"status": "in_progress", "arguments": ""}
            filling = [
                {"type": "response.function_call_arguments.delta", "delta": arguments},
                {"type": "response.function_call_arguments.done", "arguments": arguments, "name": item.get("name")},
            ]
        case _:
            opening, filling = item, []
    name = {"item_id": item.get("id", "")}
    return [
        {"type": "response.output_item.added", "item": opening},
        *[each | name for each in filling],
        {"type": "response.output_item.done", "item": item},
    ]


def _part_events(index: int, part: dict[str, Any]) -> list[dict[str, Any]]:
    where = {"content_index": index}
    match part:
        case {"type": "output_text", "text": str(text)}:
            opening = part | {"text": "", "annotations": []}
            filling = [
                {"type": "response.output_text.delta", "delta": text, "logprobs": []},
                {"type": "response.output_text.done", "text": text, "logprobs": []},
            ]
        case {"type": "refusal", "refusal": str(refusal)}:
            opening = part | {"refusal": ""}
            filling = [
                {"type": "response.refusal.delta", "delta": refusal},
                {"type": "response.refusal.done", "refusal": refusal},
            ]
        case _:
            opening, filling = part, []
    return [
        {"type": "response.content_part.added", "part": opening} | where,
        *[each | where for each in filling],
        {"type": "response.content_part.done", "part": part} | where,
    ]
