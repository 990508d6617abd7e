"""Reads the built-in vendors and lays the operator's `[providers]` over them, key by key.

One file of `vendors/` is one provider, found by scanning, in the same form as a `[providers.x]` table.
"""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from hypereal.kit import log
from hypereal.kit.dialects import Dialect
from hypereal.kit.settings import BadSettings, resolve_secret
from hypereal.providers import clouds
from hypereal.providers.addresses import UNIX_SCHEME, check_url, is_path
from hypereal.providers.provider import Auth, Provider
from hypereal.wire import ENVELOPES

LOCAL = "local"
TIMEOUT_S = 900
TIMEOUT_S_MAX = 3600
HEADERS_MAX = 32
API_KEYS_MAX = 64

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,8192}", re.ASCII)
_HEADERS_OF_OURS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
        "accept-encoding",
        "expect",
        "upgrade",
    }
)
_AUTH_OF_DIALECT: Mapping[Dialect, Auth] = {
    Dialect.OPENAI_CHAT: Auth.BEARER,
    Dialect.OPENAI_RESPONSES: Auth.BEARER,
    Dialect.ANTHROPIC_MESSAGES: Auth.X_API_KEY,
    Dialect.GEMINI: Auth.X_GOOG_API_KEY,
}


class ProviderTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[providers.x]` table. OpenAI dialects: `base_url` ends in /v1; the others: the bare origin.

    Where a vendor has dialects of both sorts, a trailing /v1 is taken off for the second, and `paths` gives the paths
    that are otherwise. It has dialects, or a driver, or both.
    """

    dialects: list[Dialect] = []
    base_url: str
    paths: dict[Dialect, str] = {}
    api_key: Any = None
    """Text, {env} or {file}; absent: the variable <NAME>_API_KEY."""
    api_keys: Annotated[list[Any], msgspec.Meta(max_length=API_KEYS_MAX)] = []
    """Several, each as `api_key` is written, to share the load; those that are not set are left out."""
    auth: Auth | None = None
    """Absent: as each dialect has it. 'none': no key is needed, but one that is given is sent."""
    headers: Annotated[dict[str, Any], msgspec.Meta(max_length=HEADERS_MAX)] = {}
    timeout_s: Decimal = Decimal(TIMEOUT_S)
    usage: str = "openai_compatible"
    driver: str | None = None
    """The module of `drivers/vendors` through which it makes images, video or sound."""
    driver_path: str | None = None
    """Path on the same host that stands before the driver's own. Absent: `base_url` as it is."""
    callback_secret: Any = None
    """Text, {env} or {file}: what the vendor signs its callbacks with, where its console shows that."""
    envelope: str | None = None
    """The row of `wire.ENVELOPES` that its dialects are carried in."""
    betas: dict[str, str] | None = None
    """Of Anthropic's betas, those that it knows, and what it calls them. Absent: it is told all."""
    region: Any = None
    """This and what follows may be {env} or {file} too.

    `base_url` and `paths` may name {region}, {project} and {location}, and {endpoint}, Google's host for the location.
    """
    access_key_id: Any = None
    secret_access_key: Any = None
    session_token: Any = None
    credentials: Any = None
    """Google's key file: its JSON, or the path to it."""
    project: Any = None
    """Absent: the one of the key file."""
    location: Any = None


def load(
    overrides: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], local_socket: Path
) -> Mapping[str, Provider]:
    """Every known provider by name, usable or not.

    A table of OVERRIDES wins over `<NAME>_BASE_URL` and `<NAME>_API_KEY` of ENVIRON, and those over the built-in table.
    Raises BadSettings that names provider and key.
    """
    tables = {path.name.removesuffix(".toml"): _read(path) for path in _vendor_files()}
    tables[LOCAL]["base_url"] = f"{UNIX_SCHEME}://{local_socket}|/v1"
    providers = {}
    for name in [*tables, *(name for name in overrides if name not in tables)]:
        try:
            providers[name] = _provider(name, tables.get(name, {}), overrides.get(name), environ)
        except ValueError as error:
            raise BadSettings(f"providers.{name}: {error}") from None
    return providers


def _vendor_files() -> list[Any]:
    found = (path for path in files("hypereal.providers").joinpath("vendors").iterdir() if path.name.endswith(".toml"))
    return sorted(found, key=lambda path: path.name)


def _read(path: Any) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"vendors/{path.name}: not TOML: {error}") from None


def _provider(
    name: str, built_in: Mapping[str, Any], override: Mapping[str, Any] | None, environ: Mapping[str, str]
) -> Provider:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is lowercase letters, digits, - and _, at most 40")
    variables = name.upper().replace("-", "_")
    base_url = environ.get(f"{variables}_BASE_URL") if name != LOCAL else None
    from_environment = {"base_url": base_url} if base_url else {}
    table = _table({**built_in, **from_environment, **(override or {})})
    api_keys = _api_keys(name, table, environ)
    credentials, places = _cloud(name, table, environ, is_configured=override is not None)
    table = _placed(table, places)
    is_placed = all(map(clouds.is_filled, (table.base_url, *table.paths.values())))
    if is_placed:
        _check_addresses(table)
    auth = {
        dialect: _AUTH_OF_DIALECT[dialect] if table.auth in (None, Auth.NONE) else table.auth
        for dialect in table.dialects
    }
    return Provider(
        name=name,
        base_urls={dialect: _base_url(table, dialect) for dialect in table.dialects},
        auth=auth,
        api_keys=api_keys if is_placed else (),
        needs_key=table.auth is not Auth.NONE,
        is_configured=is_placed and (override is not None or bool(from_environment) or name == LOCAL),
        headers=_headers(name, table, environ),
        timeout_s=float(table.timeout_s),
        usage=table.usage,
        credentials=credentials if is_placed and not api_keys else None,
        envelope=None if table.envelope is None else ENVELOPES[table.envelope],
        betas=table.betas,
        driver=table.driver,
        media_url=_media_url(table),
        callback_secret=_callback_secret(name, table, environ),
    )


def _api_keys(name: str, table: ProviderTable, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that are set, each once, in order."""
    secrets = table.api_keys
    if table.api_key is not None or not secrets:
        variables = name.upper().replace("-", "_")
        secrets = [{"env": f"{variables}_API_KEY"} if table.api_key is None else table.api_key, *secrets]
    keys = [resolve_secret(secret, name=f"providers.{name}.api_key", environ=environ) for secret in secrets]
    for key in keys:
        if key and (not _HEADER_VALUE.fullmatch(key) or key != key.strip()):
            raise ValueError("api_key: holds a space at an end, a control character or one that is not ASCII")
    return tuple(dict.fromkeys(key for key in keys if key))


def _table(merged: Mapping[str, Any]) -> ProviderTable:
    try:
        table = msgspec.convert(merged, ProviderTable)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if not table.dialects and table.driver is None:
        raise ValueError("dialects: names none, and there is no driver")
    if table.driver is not None and not _NAME.fullmatch(table.driver):
        raise ValueError(f"driver: {table.driver[:40]!r} is none")
    if table.auth is Auth.ACCESS_KEYS and table.dialects:
        raise ValueError("auth: access_keys is for drivers, and there are dialects")
    if not table.timeout_s.is_finite() or not 0 < table.timeout_s <= TIMEOUT_S_MAX:
        raise ValueError(f"timeout_s: more than 0, at most {TIMEOUT_S_MAX}")
    if table.envelope is not None and table.envelope not in ENVELOPES:
        raise ValueError(f"envelope: there is no {table.envelope!r}; there are {', '.join(sorted(ENVELOPES))}")
    return table


def _cloud(
    name: str, table: ProviderTable, environ: Mapping[str, str], *, is_configured: bool
) -> tuple[clouds.Credentials | None, Mapping[str, str]]:
    """Credentials that are no key, and places.

    Where the operator IS_CONFIGURED nothing here, the variables of a cloud may be there for another program: what
    cannot be used of them only makes the provider unusable.
    """

    def resolve(key: str) -> str | None:
        return resolve_secret(getattr(table, key), name=f"providers.{name}.{key}", environ=environ)

    try:
        credentials = clouds.read_credentials(table.auth, resolve)
        return credentials, clouds.read_places(credentials, resolve)
    except ValueError as error:
        if is_configured:
            raise
        log.get("providers").warning("not usable", provider=name, why=str(error))
        return None, {}


def _placed(table: ProviderTable, places: Mapping[str, str]) -> ProviderTable:
    """TABLE with its places in its addresses."""
    paths = {dialect: clouds.fill(path, places) for dialect, path in table.paths.items()}
    return msgspec.structs.replace(table, base_url=clouds.fill(table.base_url, places), paths=paths)


def _check_addresses(table: ProviderTable) -> None:
    try:
        check_url(table.base_url)
    except ValueError as error:
        raise ValueError(f"base_url: {error}") from None
    for dialect, path in table.paths.items():
        if not is_path(path.rstrip("/")):
            raise ValueError(f"paths.{dialect}: not a path: {path!r}")
    if table.driver_path is not None and not is_path(table.driver_path.rstrip("/")):
        raise ValueError(f"driver_path: not a path: {table.driver_path!r}")


def _base_url(table: ProviderTable, dialect: Dialect) -> str:
    base = table.base_url.rstrip("/")
    if dialect in table.paths:
        return _origin(base) + table.paths[dialect].rstrip("/")
    if dialect in (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES):
        return base
    return base.removesuffix("/v1").removesuffix("/v1beta")


def _media_url(table: ProviderTable) -> str:
    if table.driver is None:
        return ""
    base = table.base_url.rstrip("/")
    return base if table.driver_path is None else _origin(base) + table.driver_path.rstrip("/")


def _callback_secret(name: str, table: ProviderTable, environ: Mapping[str, str]) -> str | None:
    return resolve_secret(table.callback_secret, name=f"providers.{name}.callback_secret", environ=environ) or None


def _origin(base: str) -> str:
    if base.startswith(UNIX_SCHEME):
        return base.partition("|")[0] + "|"
    url = urlsplit(base)
    return f"{url.scheme}://{url.netloc}"


def _headers(name: str, table: ProviderTable, environ: Mapping[str, str]) -> Mapping[str, str]:
    headers = {}
    for header, secret in table.headers.items():
        value = resolve_secret(secret, name=f"providers.{name}.headers.{header}", environ=environ)
        if not _HEADER_NAME.fullmatch(header) or header.lower() in _HEADERS_OF_OURS:
            raise ValueError(f"headers: {header!r} cannot be set")
        if value is None:
            continue
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"headers.{header}: holds a control character or one that is not ASCII")
        headers[header] = value
    return headers
