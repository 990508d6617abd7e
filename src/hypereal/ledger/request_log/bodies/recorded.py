"""How a data process tells of one call's bodies: a frame of its length in four bytes and a message in MessagePack."""

import msgspec

from hypereal.kit.ids import AccountId, KeyId

PART_BYTES_MAX = 1024 * 1024
"""Of a request, and of its answer: more is not looked at. It is more than is kept, since media in it is not."""
FRAME_BYTES_MAX = 2 * PART_BYTES_MAX + 64 * 1024
LENGTH_BYTES = 4

_encode = msgspec.msgpack.Encoder().encode


class Recorded(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One call that is over."""

    request_id: str
    owner_id: AccountId
    key_id: KeyId
    kept_days: int
    request: bytes
    """The body as it came."""
    request_is_cut: bool
    answer: bytes
    """Everything that went to the client, with its head and in its chunks."""
    answer_is_cut: bool


def frame_of(recorded: Recorded) -> bytes:
    """RECORDED as it is sent."""
    message = _encode(recorded)
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


read_message = msgspec.msgpack.Decoder(Recorded).decode
"""Raises msgspec.MsgspecError."""
