"""The calls that vendors make to us, signed as their documents say and not by our code.

    said = signed_call("toapis", {"data": {"task_id": "task-1"}}, secret, at=now, path="/callbacks/1")

SECRET is what the vendor's console shows, or we gave it; of fal, the 32 bytes of a private key, whose public half is in
`key_set(secret)`. What `said` holds is to be posted as it stands.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from hypereal.providers.drivers import Call

Headers = dict[str, str]
PATH = "/callbacks/1"
QUERY = "a=1"


def signed_call(vendor: str, body: object, secret: bytes, *, at: int, path: str = PATH, query: str = QUERY) -> Call:
    """A call of VENDOR, at a time in unix seconds; BODY is JSON, or bytes as they are. Unsigned where it signs none."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sign = SIGNERS.get(vendor)
    headers = {} if sign is None else sign(raw, at, secret, f"POST\n{path}\n{query}\n")
    return Call(method="POST", path=path, query=query, headers=headers, body=raw)


def key_set(secret: bytes) -> bytes:
    """What fal publishes."""
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    key = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode()}
    return json.dumps({"keys": [key]}).encode()


def _toapis(body: bytes, at: int, secret: bytes, place: str) -> Headers:
    mac = _hex(secret, f"evt-1.{at}.".encode() + body)
    named = {"id": "evt-1", "timestamp": str(at), "signature": f"v1={'0' * 64},v1={mac}"}
    return {f"x-toapis-webhook-{name}": value for name, value in named.items()}


def _bfl(body: bytes, at: int, secret: bytes, place: str) -> Headers:
    return {"x-bfl-signature": f"sha256={_hex(secret, body)}"}


def _vidu(body: bytes, at: int, secret: bytes, place: str) -> Headers:
    date = datetime.fromtimestamp(at, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    message = f"{place}vidu\n{date}\nDate:{date}\nx-request-nonce:n-1\n"
    signature = base64.b64encode(hmac.new(secret, message.encode(), hashlib.sha256).digest()).decode()
    named = {"x-hmac-signed-headers": "Date;x-request-nonce", "x-hmac-signature": signature}
    return {"date": date, "x-request-nonce": "n-1", **named}


def _standard(body: bytes, at: int, secret: bytes, place: str) -> Headers:
    signature = Webhook(secret.decode()).sign("msg-1", datetime.fromtimestamp(at, UTC), body.decode())
    return {"webhook-id": "msg-1", "webhook-timestamp": str(at), "webhook-signature": f"v1,bm8= {signature}"}


def _fal(body: bytes, at: int, secret: bytes, place: str) -> Headers:
    message = f"req-1\nuser-1\n{at}\n{hashlib.sha256(body).hexdigest()}"
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(message.encode()).hex()
    named = {"request-id": "req-1", "user-id": "user-1", "timestamp": str(at), "signature": signature}
    return {f"x-fal-webhook-{name}": value for name, value in named.items()}


def _hex(secret: bytes, message: bytes) -> str:
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


SIGNERS: dict[str, Callable[[bytes, int, bytes, str], Headers]] = {
    "toapis": _toapis,
    "bfl": _bfl,
    "vidu": _vidu,
    "replicate": _standard,
    "openai": _standard,
    "fal": _fal,
}
