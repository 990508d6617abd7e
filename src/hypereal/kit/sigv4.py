"""Amazon's Signature Version 4 of one request: who sends it, when, and that nobody changed it.

Sources: "Create a signed AWS API request" of the IAM user guide, "Authenticating Requests: Using Query Parameters" of
Amazon S3's, and the vectors that Amazon publishes with them.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
CONTENT_TYPE = "application/json"
UNSIGNED = "UNSIGNED-PAYLOAD"

Headers = Sequence[tuple[str, str]]
"""Lower-case names in order, values without spaces at their ends."""


class AwsCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs, and for which region. Its repr shows no secret."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    """Of credentials that end by themselves."""
    region: str

    def __repr__(self) -> str:
        return f"AwsCredentials({self.access_key_id[:4]}…, {self.region})"


def signed_lines(
    credentials: AwsCredentials, service: str, *, authority: str, path: str, body: bytes, at_unix_s: float
) -> bytes:
    """Ready lines for the head of a POST of JSON that has no query; PATH is as it goes over the wire."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_unix_s))
    added = [("x-amz-date", stamp)]
    if credentials.session_token is not None:
        added.append(("x-amz-security-token", credentials.session_token))
    headers = [("content-type", CONTENT_TYPE), ("host", authority), *added]
    canonical = canonical_request("POST", path, headers, body)
    added.append(("authorization", authorization(credentials, service, stamp, canonical)))
    return "".join(f"{name}: {value}\r\n" for name, value in added).encode("ascii")


class Presigned(msgspec.Struct, frozen=True, kw_only=True):
    """A request that a URL makes good by itself, whoever sends it. Its body may be anything."""

    method: str
    authority: str
    path: str
    """As it goes over the wire."""
    query: Mapping[str, str] = {}
    headers: Headers = ()
    """To be sent exactly so."""
    expires_s: int
    """S3: a week at the most."""


def presigned_query(credentials: AwsCredentials, request: Presigned, at_unix_s: float) -> str:
    """The query of the URL for REQUEST to S3."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_unix_s))
    scope = f"{stamp[:8]}/{credentials.region}/s3/aws4_request"
    signed = sorted([*request.headers, ("host", request.authority)])
    members = {
        **request.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(request.expires_s),
        "X-Amz-SignedHeaders": _names(signed),
    }
    if credentials.session_token is not None:
        members["X-Amz-Security-Token"] = credentials.session_token
    told = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(members.items()))
    lines = [
        request.method,
        request.path,
        told,
        *(f"{name}:{value}" for name, value in signed),
        "",
        _names(signed),
        UNSIGNED,
    ]
    to_sign = string_to_sign(stamp, scope, "\n".join(lines))
    signature = _hmac(_signing_key(credentials.secret_access_key, scope), to_sign).hex()
    return f"{told}&X-Amz-Signature={signature}"


def canonical_request(method: str, path: str, headers: Headers, body: bytes) -> str:
    """What is signed. Every service but S3 escapes the path once more than the wire has it."""
    lines = [method, quote(path, safe="/~"), "", *(f"{name}:{value}" for name, value in headers), ""]
    return "\n".join([*lines, _names(headers), hashlib.sha256(body).hexdigest()])


def authorization(credentials: AwsCredentials, service: str, stamp: str, canonical: str) -> str:
    """The value of the field `authorization`. STAMP is the value of `x-amz-date`."""
    scope = f"{stamp[:8]}/{credentials.region}/{service}/aws4_request"
    to_sign = string_to_sign(stamp, scope, canonical)
    key = _signing_key(credentials.secret_access_key, scope)
    names = canonical.rsplit("\n", 2)[1]
    signature = _hmac(key, to_sign).hex()
    return f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    """The text whose HMAC is the signature."""
    return "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])


@lru_cache(maxsize=16)
def _signing_key(secret: str, scope: str) -> bytes:
    """Of one day, region and service. Cached, since a day's requests share it."""
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _names(headers: Headers) -> str:
    return ";".join(name for name, _ in headers)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
