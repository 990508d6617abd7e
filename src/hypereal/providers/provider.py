"""An upstream: where it is, how to sign, and the request line and headers that reach a model there."""

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import quote, urlsplit

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.sigv4 import AwsCredentials
from hypereal.providers.addresses import UNIX_SCHEME
from hypereal.providers.service_account import ServiceAccount
from hypereal.wire import Betas, Envelope

DEFAULT_PORTS: Mapping[str, int] = {"https": 443, "http": 80}


class Auth(StrEnum):
    """How the credential travels."""

    BEARER = "bearer"
    X_API_KEY = "x_api_key"
    X_GOOG_API_KEY = "x_goog_api_key"
    AWS_SIGV4 = "aws_sigv4"
    """Each request is signed."""
    GOOGLE_SERVICE_ACCOUNT = "google_service_account"
    """An access token, which is asked for and renewed."""
    ACCESS_KEYS = "access_keys"
    """A token that is made of a pair of keys; a key alone travels as BEARER."""
    TOKEN = "token"
    KEY = "key"
    X_KEY = "x_key"
    XI_API_KEY = "xi_api_key"
    NONE = "none"


class AccessKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of keys that tokens are made of. Its repr shows no secret."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"AccessKeys({self.access_key[:4]}…)"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream, as settings give it. Its repr shows no credential."""

    name: str
    base_urls: Mapping[Dialect, str]
    """Its dialects. OpenAI dialects: what stands before '/chat/completions'; the others: before '/v1…'.

    A unix socket is written 'http+unix:///path/of.sock|/v1'.
    """
    auth: Mapping[Dialect, Auth]
    """How a key is sent, where there is one."""
    api_keys: tuple[str, ...]
    """Used in turn, each conversation with one: the next where one is refused or over its limit."""
    needs_key: bool
    is_configured: bool
    """The operator named it, not only we: it has a base URL or a table of settings of its own."""
    headers: Mapping[str, str]
    timeout_s: float
    usage: str
    """The row of `wire.PROFILES` that reads its usage."""
    credentials: AwsCredentials | ServiceAccount | AccessKeys | None = None
    """What signs or gets tokens, where that is asked for and `api_key` is not there instead."""
    envelope: Envelope | None = None
    """How it wants its dialects carried, where it has a way of its own."""
    betas: Betas = None
    driver: str | None = None
    """The module of `drivers/vendors` that makes images, video or sound there; None: it makes none."""
    media_url: str = ""
    """What stands before that driver's paths."""
    callback_secret: str | None = None
    """What the vendor signs its callbacks with, where its console shows that."""

    @property
    def is_usable(self) -> bool:
        """There is a credential, or none is needed and the operator says that something runs there."""
        has_credential = bool(self.api_keys) or self.credentials is not None
        return has_credential or (self.is_configured and not self.needs_key)

    def __repr__(self) -> str:
        dialects = ", ".join(self.base_urls)
        driver = "" if self.driver is None else f" driver={self.driver!r},"
        return f"Provider(name={self.name!r}, dialects=[{dialects}],{driver} is_usable={self.is_usable})"


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes between two calls of one target in one dialect. Its repr shows no header."""

    host: str
    """Without brackets; empty for a unix socket."""
    port: int
    is_tls: bool
    unix_path: str | None
    authority: bytes
    """The value of the Host header."""
    target: bytes
    """Path and query."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Lowercase names: the credential, then the provider's own headers."""

    def __repr__(self) -> str:
        return f"UpstreamRequest({self.authority.decode()} {self.target.decode()})"


AUTH_HEADERS: Mapping[Auth, tuple[str, str]] = {
    Auth.BEARER: ("authorization", "Bearer "),
    Auth.TOKEN: ("authorization", "Token "),
    Auth.KEY: ("authorization", "Key "),
    Auth.X_KEY: ("x-key", ""),
    Auth.X_API_KEY: ("x-api-key", ""),
    Auth.XI_API_KEY: ("xi-api-key", ""),
    Auth.X_GOOG_API_KEY: ("x-goog-api-key", ""),
    Auth.ACCESS_KEYS: ("authorization", "Bearer "),
    Auth.AWS_SIGV4: ("authorization", "Bearer "),
    Auth.GOOGLE_SERVICE_ACCOUNT: ("authorization", "Bearer "),
}
"""How an `api_key` travels. The last three take one as well as what they want instead."""


def request_for(
    provider: Provider,
    dialect: Dialect,
    upstream_model: str,
    *,
    stream: bool = False,
    count_tokens: bool = False,
    key_number: int = 0,
) -> UpstreamRequest:
    """The request that reaches UPSTREAM_MODEL at PROVIDER in DIALECT. Messages tell a stream in the body only.

    Raises KeyError where the provider does not speak DIALECT, ValueError where it cannot count tokens in DIALECT.
    """
    envelope = provider.envelope
    if envelope is None:
        route = _route(dialect, upstream_model, stream=stream, count_tokens=count_tokens)
    elif count_tokens and not envelope.can_count(dialect):
        raise ValueError(f"{provider.name} has no route that counts tokens")
    else:
        route = envelope.route(dialect, upstream_model, stream=stream, counts_tokens=count_tokens)
    return request_to(provider.base_urls[dialect], route, _headers(provider, dialect, key_number))


def request_to(base: str, route: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> UpstreamRequest:
    """The request that reaches ROUTE under BASE, a URL or a unix socket as `Provider.base_urls` has them."""
    unix_path = None
    if base.startswith(UNIX_SCHEME):
        unix_path, _, path = base.removeprefix(f"{UNIX_SCHEME}://").partition("|")
        host, port, is_tls, authority = "", 0, False, "localhost"
    else:
        url = urlsplit(base)
        host, path, is_tls = url.hostname or "", url.path, url.scheme == "https"
        port = url.port or DEFAULT_PORTS[url.scheme]
        shown = f"[{host}]" if ":" in host else host
        authority = shown if port == DEFAULT_PORTS[url.scheme] else f"{shown}:{port}"
    return UpstreamRequest(
        host=host,
        port=port,
        is_tls=is_tls,
        unix_path=unix_path,
        authority=authority.encode("ascii"),
        target=(path + route).encode("ascii"),
        headers=headers,
    )


def _route(dialect: Dialect, model: str, *, stream: bool, count_tokens: bool) -> str:
    match dialect:
        case Dialect.ANTHROPIC_MESSAGES:
            return "/v1/messages/count_tokens" if count_tokens else "/v1/messages"
        case Dialect.GEMINI:
            methods = {(False, False): "generateContent", (True, False): "streamGenerateContent?alt=sse"}
            return f"/v1beta/models/{quote(model, safe='')}:{methods.get((stream, count_tokens), 'countTokens')}"
        case _ if count_tokens:
            raise ValueError(f"{dialect} has no route that counts tokens")
        case Dialect.OPENAI_CHAT:
            return "/chat/completions"
        case Dialect.OPENAI_RESPONSES:
            return "/responses"


def _headers(provider: Provider, dialect: Dialect, key_number: int) -> tuple[tuple[bytes, bytes], ...]:
    own = tuple((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in provider.headers.items())
    if not provider.api_keys:
        return own
    name, prefix = AUTH_HEADERS[provider.auth[dialect]]
    return ((name.encode("ascii"), (prefix + provider.api_keys[key_number]).encode("ascii")), *own)
