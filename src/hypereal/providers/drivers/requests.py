"""A request to a vendor, and its credential."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from hypereal.providers.drivers.encoding import JSON, Part, form_body, json_body
from hypereal.providers.provider import AUTH_HEADERS, AccessKeys, Auth, Provider

TOKEN_S: Final = 1800
"""How long a token that we sign ourselves is good."""
_SKEW_S: Final = 5


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent, without credential."""

    method: str
    url: str
    """A path below the provider's address, or a whole URL that the vendor named."""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. Its repr shows no header."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Signed({self.method} {self.url})"


def post(
    url: str,
    members: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    *,
    extra: Mapping[str, Any] | None = None,
) -> Request:
    """A POST of MEMBERS, those that are None left out, as JSON, laid over EXTRA."""
    given = {name: value for name, value in members.items() if value is not None}
    body = json_body({**(extra or {}), **given})
    return Request(method="POST", url=url, headers={"content-type": JSON, **(headers or {})}, body=body)


def post_form(url: str, parts: list[Part], headers: Mapping[str, str] | None = None) -> Request:
    """A POST of PARTS as a form."""
    content_type, body = form_body(parts)
    return Request(method="POST", url=url, headers={"content-type": content_type, **(headers or {})}, body=body)


def segment(text: str) -> str:
    """TEXT as one segment of a path: an id of a vendor can lead nowhere else."""
    return quote(text, safe="-_.~") if text not in (".", "..") else ""


def path_of(text: str) -> str:
    """TEXT, 'owner/name' for one, as segments of a path."""
    return "/".join(segment(one) for one in text.split("/"))


def signed(
    provider: Provider, auth: Auth, hosts: tuple[str, ...], request: Request, *, at_unix_s: float, key_number: int = 0
) -> Signed:
    """REQUEST with PROVIDER's address, headers and credential.

    Raises ValueError where its URL is at another host: the credential goes nowhere else.
    """
    url = request.url if is_whole(request.url) else provider.media_url + request.url
    if not is_trusted(url, provider.media_url, hosts):
        raise ValueError(f"{url[:200]} is not {provider.name}'s")
    own = {name.lower(): value for name, value in provider.headers.items()}
    credential = _credential(provider, auth, key_number, at_unix_s)
    return Signed(method=request.method, url=url, headers={**own, **request.headers, **credential}, body=request.body)


def is_whole(url: str) -> bool:
    """Whether URL is one, and no path."""
    return re.match(r"https?://", url) is not None


def is_trusted(url: str, base: str, hosts: tuple[str, ...]) -> bool:
    """Whether URL is where BASE is, or, over TLS, at one of HOSTS."""
    try:
        one, other = urlsplit(url), urlsplit(base)
        if (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port):
            return "@" not in one.netloc
        name = one.hostname or ""
        is_default = one.scheme == "https" and one.port in (None, 443) and "@" not in one.netloc
    except ValueError:
        return False
    return is_default and any(name == host or (host[:1] == "." and name.endswith(host)) for host in hosts)


def _credential(provider: Provider, auth: Auth, key_number: int, at_unix_s: float) -> Mapping[str, str]:
    if not provider.api_keys:
        keys = provider.credentials
        return {"authorization": f"Bearer {token(keys, at_unix_s)}"} if isinstance(keys, AccessKeys) else {}
    name, prefix = AUTH_HEADERS[auth]
    return {name: prefix + provider.api_keys[key_number % len(provider.api_keys)]}


def token(keys: AccessKeys, at_unix_s: float) -> str:
    """A JSON Web Token of HS256 that says who calls. Source: Kling's API reference, "Authentication"."""
    head = {"alg": "HS256", "typ": "JWT"}
    claims = {"iss": keys.access_key, "exp": int(at_unix_s) + TOKEN_S, "nbf": int(at_unix_s) - _SKEW_S}
    signing = ".".join(_unpadded(msgspec.json.encode(part)) for part in (head, claims))
    mac = hmac.digest(keys.secret_key.encode(), signing.encode(), hashlib.sha256)
    return f"{signing}.{_unpadded(mac)}"


def _unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
