"""Events of an account, told by who may not import the webhooks: as a job, in the transaction that makes them true."""

import msgspec

EMIT = "webhooks.emit"
"""The kind of the job. Its owner is told."""


class ToEmit(msgspec.Struct, frozen=True, kw_only=True):
    """The payload: an event's type (`webhooks.TYPES`) and its data, JSON."""

    type: str
    data: msgspec.Raw
