"""`previous_response_id` where no vendor keeps the conversation: a request is joined to what came before it.

Who keeps conversations (`gateway/continuations.py`) makes one request of both by `continued`, and gets what is to be
kept of its answer by `conversation`.
"""

import re
from typing import Any

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.wire import events
from hypereal.wire.bridges.opaque import unseal
from hypereal.wire.members import FALSE, UNREADABLE, encode
from hypereal.wire.request import Request

FIELD = "previous_response_id"

_input = msgspec.json.Decoder(list[msgspec.Raw] | str)
_items = msgspec.json.Decoder(list[msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, Any]])
_our_id = re.compile(r"(?:msg|rs|fc|ctc|tsc)_[0-9a-f]{24}_[0-9]+").fullmatch
"""Of an item, as `items.py` makes them."""


class _Response(msgspec.Struct):
    id: str
    status: str
    output: msgspec.Raw


class _Ending(msgspec.Struct):
    response: _Response


_response = msgspec.json.Decoder(_Response)
_ending = msgspec.json.Decoder(_Ending)


def continued(request: Request, earlier: bytes) -> Request:
    """REQUEST with the items EARLIER, a JSON array of what came before it, in front of its own input.

    It names no earlier response any more. As with the vendor, earlier `instructions` are not repeated. Raises nothing
    for a REQUEST that `read` gave.
    """
    items = [*_items.decode(earlier), *_own_items(request)]
    fields = {name: raw for name, raw in request.fields.items() if name != FIELD}
    fields["input"] = msgspec.Raw(encode(items))
    return msgspec.structs.replace(
        request,
        fields=fields,
        size_bytes=request.size_bytes + len(earlier),
        continues=msgspec.json.decode(request.fields[FIELD], type=str) if FIELD in request.fields else None,
    )


def conversation(request: Request, said: bytes) -> tuple[str, bytes] | None:
    """The id of the answer SAID, a plain one or the last events of a stream; and the items up to its end, as JSON.

    None where it is not to be kept: the caller said so, it is no Responses call, or the answer did not come to its end.
    """
    if request.dialect is not Dialect.OPENAI_RESPONSES or request.fields.get("store") == FALSE:
        return None
    response = _answered(said)
    if response is None or response.status not in ("completed", "incomplete"):
        return None
    return response.id, encode([*_own_items(request), *_items.decode(response.output)])


def as_vendors(earlier: bytes) -> bytes:
    """The items EARLIER as a vendor of this dialect takes them: without what it would look for among its own."""
    return encode([_nameless(item) for item in _objects.decode(earlier) if not _is_our_reasoning(item)])


def _own_items(request: Request) -> list[msgspec.Raw]:
    own = _input.decode(request.fields["input"]) if "input" in request.fields else []
    return [msgspec.Raw(encode({"type": "message", "role": "user", "content": own}))] if isinstance(own, str) else own


def _answered(said: bytes) -> _Response | None:
    try:
        if said.startswith(b"{"):
            return _response.decode(said)
        return next((_ending.decode(payload).response for payload in events.payloads_with(b'"output"', said)), None)
    except UNREADABLE:
        return None


def _is_our_reasoning(item: dict[str, Any]) -> bool:
    return item.get("type") == "reasoning" and unseal(item.get("encrypted_content")) is not None


def _nameless(item: dict[str, Any]) -> dict[str, Any]:
    is_ours = isinstance(item.get("id"), str) and _our_id(item["id"])
    return {name: value for name, value in item.items() if not (is_ours and name == "id")}
