"""Compressed, then encrypted: what is kept opens only for its owner and id, with this installation's secret."""

import os
import zlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hypereal.kit.ids import AccountId

PURPOSE = b"hypereal conversations 1"
"""Tells this key from others made of the same secret. The number is that of the format below."""
KEY_BYTES = 32
NONCE_BYTES = 12
"""Random: one key is good for some four billion conversations (NIST SP 800-38D, 8.3)."""
COMPRESSION = 1
"""zlib's fastest: conversations are text, and each is written once and read once."""


class Sealer:
    """AES-256-GCM with a key made of SECRET."""

    def __init__(self, secret: str) -> None:
        key = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=PURPOSE).derive(secret.encode())
        self._cipher = AESGCM(key)

    def seal(self, owner_id: AccountId, response_id: str, content: bytes) -> bytes:
        """The nonce, then what `open` takes back for the same owner and id."""
        nonce = os.urandom(NONCE_BYTES)
        packed = zlib.compress(content, COMPRESSION)
        return nonce + self._cipher.encrypt(nonce, packed, _bound_to(owner_id, response_id))

    def open(self, owner_id: AccountId, response_id: str, sealed: bytes) -> bytes | None:
        """What was sealed; None where it was for another owner or id, with another secret, or was changed."""
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return zlib.decompress(self._cipher.decrypt(nonce, rest, _bound_to(owner_id, response_id)))
        except (InvalidTag, ValueError):  # ValueError: too short to have been sealed
            return None


def _bound_to(owner_id: AccountId, response_id: str) -> bytes:
    return msgspec.json.encode([owner_id, response_id])
