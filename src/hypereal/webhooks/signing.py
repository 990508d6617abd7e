"""Signatures as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`, under secrets that both sides know.

Source: the specification of standardwebhooks.com, "Symmetric signatures" and "Rotating secrets".
"""

import base64
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32
"""Of 24 to 64."""


def new_secret() -> str:
    """`whsec_` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(keys: Iterable[str], message_id: str, at_unix_s: int, body: bytes) -> dict[str, str]:
    """The three fields of a delivery of BODY at AT_UNIX_S: one signature for each of KEYS, so that either verifies."""
    signed = b"%s.%d.%s" % (message_id.encode(), at_unix_s, body)
    signatures = (hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, "sha256") for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_unix_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }
