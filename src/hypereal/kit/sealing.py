"""Compressed, then encrypted: what is kept opens only for its owner and id, with this installation's secret."""

import os
import zlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hypereal.kit.ids import AccountId

KEY_BYTES = 32
NONCE_BYTES = 12
"""Random: one key is good for some four billion contents (NIST SP 800-38D, 8.3)."""
COMPRESSION = 1
"""zlib's fastest: what is kept is text, and mostly written once and read once."""


class Sealer:
    """AES-256-GCM with a key made of SECRET for PURPOSE, so that no two capabilities have the same."""

    def __init__(self, secret: str, purpose: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(secret.encode())
        self._cipher = AESGCM(key)

    def seal(self, owner_id: AccountId, name: str, content: bytes) -> bytes:
        """The nonce, then what `open` takes back for the same owner and id."""
        nonce = os.urandom(NONCE_BYTES)
        packed = zlib.compress(content, COMPRESSION)
        return nonce + self._cipher.encrypt(nonce, packed, _bound_to(owner_id, name))

    def open(self, owner_id: AccountId, name: str, sealed: bytes) -> bytes | None:
        """What was sealed; None where it was for another owner or id, with another secret, or was changed."""
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return zlib.decompress(self._cipher.decrypt(nonce, rest, _bound_to(owner_id, name)))
        except (InvalidTag, ValueError):  # ValueError: too short to have been sealed
            return None


def _bound_to(owner_id: AccountId, name: str) -> bytes:
    return msgspec.json.encode([owner_id, name])
