"""A Google service account: its key file, and the assertion that its access tokens are given for.

Sources: RFC 7523, Google's "Using OAuth 2.0 for server to server applications", and google-auth 2.62.
"""

import base64
from urllib.parse import urlencode

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hypereal.providers.addresses import check_url

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 3600
"""The longest that Google takes."""


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    project_id: str | None = None
    token_uri: str = "https://oauth2.googleapis.com/token"


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for tokens, and where. Its repr shows no secret."""

    email: str
    key: RSAPrivateKey
    key_id: str
    project: str | None
    """The one that it belongs to."""
    token_url: str

    def __repr__(self) -> str:
        return f"ServiceAccount({self.email})"


def read_account(text: str) -> ServiceAccount:
    """The account whose key file holds TEXT. Raises ValueError, with nothing of the text in it."""
    try:
        file = msgspec.json.decode(text, type=_KeyFile)
    except msgspec.MsgspecError:
        raise ValueError("not the JSON of a service account's key") from None
    if file.type != "service_account":
        raise ValueError(f"of type {file.type[:40]!r}; only keys of service accounts are taken")
    try:
        check_url(file.token_uri)
    except ValueError as error:
        raise ValueError(f"token_uri: {error}") from None
    try:
        key = load_pem_private_key(file.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("its private_key cannot be read") from None
    if not isinstance(key, RSAPrivateKey) or not file.client_email:
        raise ValueError("it has no RSA private_key, or no client_email")
    return ServiceAccount(
        email=file.client_email,
        key=key,
        key_id=file.private_key_id,
        project=file.project_id,
        token_url=file.token_uri,
    )


def token_request(account: ServiceAccount, at_unix_s: float) -> bytes:
    """The body, a form, of the request for an access token."""
    header = {"alg": "RS256", "typ": "JWT", "kid": account.key_id}
    at = int(at_unix_s)
    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_url,
        "iat": at,
        "exp": at + ASSERTION_S,
    }
    signed = _base64(msgspec.json.encode(header)) + b"." + _base64(msgspec.json.encode(claims))
    signature = account.key.sign(signed, PKCS1v15(), SHA256())
    return urlencode({"grant_type": GRANT_TYPE, "assertion": signed + b"." + _base64(signature)}).encode("ascii")


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
