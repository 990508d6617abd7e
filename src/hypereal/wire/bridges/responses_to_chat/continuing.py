"""The seam for `previous_response_id`: who keeps the items of earlier responses makes one request of both by this."""

from collections.abc import Sequence

import msgspec

from hypereal.wire.members import encode
from hypereal.wire.request import Request

FIELD = "previous_response_id"

_input = msgspec.json.Decoder(list[msgspec.Raw] | str)


def continued(request: Request, earlier: Sequence[msgspec.Raw]) -> Request:
    """REQUEST with the items EARLIER, the input and output of the responses before it, in front of its own input.

    It names no earlier response any more. Its items, with those of its answer, are the EARLIER of the next one. As with
    the vendor, earlier `instructions` are not repeated. Raises nothing for a REQUEST that `read` gave.
    """
    own = _input.decode(request.fields["input"]) if "input" in request.fields else None
    if isinstance(own, str):
        own = [msgspec.Raw(encode({"type": "message", "role": "user", "content": own}))]
    fields = {name: raw for name, raw in request.fields.items() if name != FIELD}
    fields["input"] = msgspec.Raw(encode([*earlier, *(own or ())]))
    size_bytes = request.size_bytes + sum(len(memoryview(item)) for item in earlier)
    return msgspec.structs.replace(request, fields=fields, size_bytes=size_bytes)
