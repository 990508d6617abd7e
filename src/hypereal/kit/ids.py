"""Identifiers: made here, nowhere else. Random ones are unguessable; request ids are only unique."""

import hashlib
import itertools
import os
import secrets
from typing import NewType

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

KEY_PREFIX = "ck_"


def new_id(prefix: str) -> str:
    """PREFIX_ and 24 random hex digits."""
    return f"{prefix}_{secrets.token_hex(12)}"


def new_key() -> str:
    """A caller's secret: `ck_` and 64 lowercase hex digits. Shown once, never stored."""
    return KEY_PREFIX + secrets.token_hex(32)


def hash_key(key: bytes) -> bytes:
    """What is stored of a key. Plain SHA-256 suffices: a key has 256 bits of its own."""
    return hashlib.sha256(key).digest()


_request_prefix = os.urandom(8).hex()
_request_numbers = itertools.count(int.from_bytes(os.urandom(3), "big"))


def new_request_id() -> str:
    """`req_`, 16 hex digits of this process and a counter: unique and cheap (0.3 us), not secret."""
    return f"req_{_request_prefix}{next(_request_numbers):08x}"
