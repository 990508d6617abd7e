"""What vendors tell us by themselves. Nothing of it is believed but that it is time to ask: not even what is signed,
which may be late, twice, or out of order."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.outcome import Pushed

SKEW_S_MAX = 300
"""How old or new a signed callback may be."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's call to us, as it came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Secret(StrEnum):
    """Where what a signature is checked with comes from."""

    NONE = "none"
    """The vendor does not sign."""
    JOB = "job"
    """`Work.callback_secret`, which we gave it."""
    API_KEY = "api_key"
    ACCOUNT = "account"
    """The vendor's console or API shows it; a setting of ours (`callback_secret` of the provider)."""
    KEY_SET = "key_set"
    """The vendor publishes its public keys at `Callback.keys_url`: the body of that answer."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor calls us."""

    task_id: tuple[str, ...]
    """Paths in the body."""
    secret: Secret = Secret.NONE
    signature: str = ""
    """How it is signed, and what of it, for people."""
    verify: "Callable[[Call, bytes, float], bool] | None" = None
    """Whether the signature of a call is good by a secret, now."""
    keys_url: str = ""
    echo: str = ""
    """A member that the vendor sends to see that we are there, and wants back."""

    def read(self, call: Call, secrets: tuple[bytes, ...], at_unix_s: float) -> Pushed | None:
        """What CALL comes to; None where it is to be refused: it is no JSON, or its signature is not good by any of
        SECRETS."""
        try:
            said = msgspec.json.decode(call.body)
        except (msgspec.DecodeError, RecursionError):
            return None
        if not isinstance(said, dict):
            return None
        is_signed = self.verify is not None and any(self.verify(call, secret, at_unix_s) for secret in secrets)
        if self.verify is not None and not is_signed:
            return None
        return Pushed(task_id=paths.text(said, *self.task_id)[:500], is_signed=is_signed, reply=self._echo(said))

    def _echo(self, said: Mapping[str, Any]) -> bytes:
        value = said.get(self.echo) if self.echo else None
        return msgspec.json.encode({self.echo: value}) if isinstance(value, str) and len(value) <= 1000 else b""


def standard(call: Call, secret: bytes, at_unix_s: float) -> bool:
    """Standard Webhooks 1.0, as Replicate and OpenAI sign: SECRET is `whsec_…`."""
    headers = call.headers
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    try:
        key = base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    if not key or not is_fresh(stamp, at_unix_s):
        return False
    mac = hmac.digest(key, f"{message_id}.{stamp}.".encode() + call.body, hashlib.sha256)
    wanted = b"v1," + base64.b64encode(mac)
    signatures = headers.get("webhook-signature", "").split(" ")[:16]
    return any(hmac.compare_digest(one.encode(), wanted) for one in signatures)


def hex_of_body(header: str, prefix: str) -> Callable[[Call, bytes, float], bool]:
    """A check of HMAC-SHA256 over the body alone, in hex after PREFIX, in HEADER."""

    def verify(call: Call, secret: bytes, at_unix_s: float) -> bool:
        mac = hmac.new(secret, call.body, hashlib.sha256).hexdigest()
        return bool(secret) and hmac.compare_digest(call.headers.get(header, "").encode(), (prefix + mac).encode())

    return verify


def stamped_hex(header: str, stamp: str, message_id: str) -> Callable[[Call, bytes, float], bool]:
    """A check of HMAC-SHA256 over `id.timestamp.body`, in hex as `v1=…[,v1=…]`; the arguments are headers' names."""

    def verify(call: Call, secret: bytes, at_unix_s: float) -> bool:
        at, name = call.headers.get(stamp, ""), call.headers.get(message_id, "")
        if not secret or not is_fresh(at, at_unix_s):
            return False
        mac = "v1=" + hmac.new(secret, f"{name}.{at}.".encode() + call.body, hashlib.sha256).hexdigest()
        signatures = call.headers.get(header, "").split(",")[:16]
        return any(hmac.compare_digest(one.strip().encode(), mac.encode()) for one in signatures)

    return verify


def ed25519(call: Call, secret: bytes, at_unix_s: float) -> bool:
    """fal's: SECRET is the JSON Web Key Set that it publishes. Source: fal's reference, "Verify webhooks"."""
    headers = call.headers
    names = ("request-id", "user-id", "timestamp", "signature")
    request_id, user_id, stamp, signature = (headers.get(f"x-fal-webhook-{name}", "") for name in names)
    if not is_fresh(stamp, at_unix_s):
        return False
    digest = hashlib.sha256(call.body).hexdigest()
    message = f"{request_id}\n{user_id}\n{stamp}\n{digest}".encode()
    return any(_is_good(key, signature, message) for key in _keys(secret))


def _keys(key_set: bytes) -> list[Ed25519PublicKey]:
    try:
        found = paths.every(msgspec.json.decode(key_set), "keys[].x")
        return [
            Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4)))
            for one in found
            if isinstance(one, str)
        ]
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return []


def _is_good(key: Ed25519PublicKey, signature: str, message: bytes) -> bool:
    try:
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_fresh(stamp: str, at_unix_s: float) -> bool:
    """Whether STAMP, unix seconds, is about now."""
    return stamp.isdecimal() and len(stamp) <= 12 and abs(int(stamp) - at_unix_s) <= SKEW_S_MAX
