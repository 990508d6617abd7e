"""The events that are told, filters over them, and what is sent of one (contract 4.4)."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from hypereal.kit.errors import InvalidRequest

TEST = "webhook.test"
TYPES = frozenset(
    {f"{of}.{what}" for of in ("job", "gpu.job") for what in ("completed", "failed", "cancelled")}
    | {"key.budget_80", "key.budget_100", "balance.low"}
)
"""What an endpoint can ask for; a test comes whatever it asked for."""
ALL = "*"
FILTERS_MAX = 20
BODY_BYTES_MAX = 1024 * 1024
MEMBER_BYTES_MAX = 4 * 1024
"""Of a member of an event that is too large, as one with a whole picture in it: longer ones are left out."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. DATA is JSON, as the GET of what it happened to answers."""

    type: str
    data: msgspec.Raw


def body_of(event: Event, at: datetime) -> bytes:
    """What is posted. Data that is too large is told without its long members, whose names are in `omitted`."""
    body = _body(event.type, at, event.data)
    return body if len(body) <= BODY_BYTES_MAX else _body(event.type, at, _shortened(event.data))


def _body(type_: str, at: datetime, data: object) -> bytes:
    timestamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": type_, "timestamp": timestamp, "data": data})


def _shortened(data: msgspec.Raw) -> dict[str, object]:
    try:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return {"omitted": [ALL]}
    kept: dict[str, object] = {name: raw for name, raw in members.items() if len(bytes(raw)) <= MEMBER_BYTES_MAX}
    return {**kept, "omitted": [name for name in members if name not in kept]}


def check_filters(filters: Sequence[str]) -> list[str]:
    """FILTERS, each once. Raises InvalidRequest for one that no event can match."""
    for one in filters:
        if not any(matches([one], known) for known in TYPES):
            known = ", ".join(sorted(TYPES))
            raise InvalidRequest(
                f"events: '{one[:100]}' is no event. There are {known}; 'job.*' is all of its kind, '*' all.",
                param="events",
            )
    if not 1 <= len(filters) <= FILTERS_MAX:
        raise InvalidRequest(f"events: give 1 to {FILTERS_MAX}.", param="events")
    return list(dict.fromkeys(filters))


def matches(filters: Sequence[str], type_: str) -> bool:
    """Whether an endpoint with FILTERS is told of events of TYPE_."""
    return type_ == TEST or any(
        one in (ALL, type_) or (one.endswith(".*") and type_.startswith(one[:-1])) for one in filters
    )
