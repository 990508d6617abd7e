"""Both clouds from their own side: signatures and tokens checked anew, and streams framed as Amazon frames them.

Written from the specifications and not from what is tested.
"""

import base64
import hashlib
import hmac
import json
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urljoin

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.support.background import Gate
from tests.support.upstream import Recorded, Script, plain, stream

EVENT_STREAM = "application/vnd.amazon.eventstream"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

# -- Amazon's event stream ---------------------------------------------------------------------------------------------


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message; all headers are text."""
    lines = b"".join(
        struct.pack(f">B{len(name)}sBH{len(value)}s", len(name), name.encode(), 7, len(value), value.encode())
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(lines) + len(payload), len(lines))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + lines + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def framed(event: bytes) -> bytes:
    """One server-sent event of Anthropic's as Bedrock sends it."""
    payload = event.partition(b"data: ")[2].strip()
    body = {"bytes": base64.b64encode(payload).decode(), "p": "abcdefghij"}
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(body).encode())


def exception(kind: str, text: str) -> bytes:
    """What went wrong after the head."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps({"message": text}).encode())


def framed_stream(events: Sequence[bytes], *last: bytes | Gate) -> Script:
    """EVENTS of Anthropic's as Bedrock's answer, then LAST, messages as they are."""
    metrics = b'"amazon-bedrock-invocationMetrics":{"inputTokenCount":77777,"outputTokenCount":88888}'
    said = [event.replace(b'{"type": "message_stop"}', b'{"type":"message_stop",%s}' % metrics) for event in events]
    return stream([*map(framed, said), *last], content_type=EVENT_STREAM)


# -- Signature Version 4 -----------------------------------------------------------------------------------------------


def is_signed(recorded: Recorded, secrets: Mapping[str, str], service: str = "bedrock") -> bool:
    """Whether RECORDED carries the signature of the key that it names; SECRETS are by key id."""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        recorded.get("authorization") or "",
    )
    if found is None:
        return False
    key_id, day, region, of_service, signed, signature = found.groups()
    names = signed.split(";")
    date = recorded.get("x-amz-date") or ""
    if of_service != service or not date.startswith(day) or not {"host", "x-amz-date"} <= set(names):
        return False
    if (recorded.get("x-amz-security-token") is not None) != ("x-amz-security-token" in names):
        return False
    path, _, query = recorded.path.partition("?")
    assert not query
    request = [recorded.head.split(b" ", 1)[0].decode(), "/".join(quote(part, safe="-_.~") for part in path.split("/"))]
    request += ["", *(f"{name}:{recorded.get(name)}" for name in names), "", signed]
    request.append(hashlib.sha256(recorded.body).hexdigest())
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/aws4_request\n{digest}"
    key = ("AWS4" + secrets.get(key_id, "unknown")).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == signature


# -- a service account -------------------------------------------------------------------------------------------------


class Google:
    """The side of Google: it made the key, and gives tokens to whoever signs with it."""

    def __init__(self, token_url: str) -> None:
        self.token_url = token_url
        self._key = rsa.generate_private_key(65537, 2048)
        self.given: list[str] = []

    def key_file(self, **changes: Any) -> str:
        """The JSON that a service account has."""
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = {
            "type": "service_account",
            "project_id": "project-of-file",
            "private_key_id": "key-1",
            "private_key": self._key.private_bytes(*form).decode(),
            "client_email": "gateway@project-of-file.iam.gserviceaccount.com",
            "token_uri": self.token_url,
        }
        return json.dumps(file | changes)

    def claims(self, body: bytes) -> dict[str, Any] | None:
        """What the assertion in a token request claims; None where it is not signed with the key."""
        form = parse_qs(body.decode())
        if form["grant_type"] != [GRANT]:
            return None
        signed, _, signature = form["assertion"][0].rpartition(".")
        try:
            self._key.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return None
        header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        assert header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
        return dict(claims)

    def answer(self, recorded: Recorded, expires_in: int = 3600) -> Script:
        """The token endpoint."""
        claims = self.claims(recorded.body)
        if (
            claims is None
            or claims["aud"] != urljoin(self.token_url, recorded.path)
            or not 0 < claims["exp"] - claims["iat"] <= 3600
        ):
            return plain({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        self.given.append(f"ya29.token-{len(self.given)}")
        return plain({"access_token": self.given[-1], "expires_in": expires_in, "token_type": "Bearer"})


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
