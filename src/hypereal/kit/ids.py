"""Identifiers: made here, nowhere else. Random ones are unguessable; request ids are only unique."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from typing import Final, NewType

AccountId = NewType("AccountId", str)
"""`acc_…`: who owns things, a person or an organisation. Every owned row names one as `owner_id`."""
UserId = NewType("UserId", str)
"""`usr_…`"""
KeyId = NewType("KeyId", str)
"""`key_…`: names a key without being one."""
PoolId = NewType("PoolId", str)
"""The account's id for its wallet, `key_…/2026-11` for a key's month, `house/…` for the house's own."""
ProcessId = NewType("ProcessId", int)
"""A data process's registration: never used again, so it fences."""
JobId = NewType("JobId", str)
"""`job_…`, or `schedule/…` for the one job of a schedule."""

ObjectId = NewType("ObjectId", str)
"""`obj_…`: a stored file."""
EndpointId = NewType("EndpointId", str)
"""`whe_…`: where an account's webhooks go."""
DeliveryId = NewType("DeliveryId", str)
"""`whd_…`: one event on its way to one endpoint."""

KEY_PREFIX: Final = "ck_"


def new_id(prefix: str) -> str:
    """PREFIX_ and 24 random hex digits."""
    return f"{prefix}_{secrets.token_hex(12)}"


def new_ordered_id(prefix: str) -> str:
    """PREFIX_, 11 hex digits of the time and 16 random ones: in the order of their ids, lists have the newest last."""
    return f"{prefix}_{int(time.time() * 1000):011x}{secrets.token_hex(8)}"


def new_key() -> str:
    """A caller's secret: `ck_` and 64 lowercase hex digits. Shown once, never stored."""
    return KEY_PREFIX + secrets.token_hex(32)


def hash_key(key: bytes) -> bytes:
    """What is stored of a key. Plain SHA-256 suffices: a key has 256 bits of its own."""
    return hashlib.sha256(key).digest()


_HEX_3: Final = [f"{number:03x}" for number in range(16**3)]


def _request_ids() -> Iterator[str]:
    """`req_`, 16 hex digits of this process and 8 of a counter: unique and cheap (0.1 us), not secret."""
    while True:
        process = os.urandom(8).hex()
        for number in range(16**5):
            most = f"req_{process}{number:05x}"
            for least in _HEX_3:
                yield most + least


new_request_id: Final = _request_ids().__next__
