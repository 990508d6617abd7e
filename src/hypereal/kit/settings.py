"""Settings: `hypereal.toml`, overridden by `HYPEREAL_<SECTION>__<KEY>` and a few short forms.

An unknown key in the file is an error; an unknown variable only warns.
"""

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses, parseaddr
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from hypereal.kit import log
from hypereal.kit.s3_address import read_address

SHORT_FORMS = {
    "HYPEREAL_HOST": ("server", "host"),
    "HYPEREAL_PORT": ("server", "port"),
    "HYPEREAL_DATA_DIR": ("server", "data_dir"),
    "HYPEREAL_DATABASE_URL": ("database", "url"),
}
CLIENT_VARIABLES = {"HYPEREAL_API_KEY", "HYPEREAL_BASE_URL", "HYPEREAL_CONFIG"}
FILE_BYTES_MAX = 4 * 1024 * 1024


class BadSettings(Exception):
    """The settings cannot be used; the message names the file, the key and what was expected."""


class Section(BaseModel):
    """A table of the file: no unknown keys, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """[server]"""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8787, ge=0, le=65535)
    """0 takes any that is free."""
    workers: int = Field(1, ge=1, le=64)
    """Data processes; one a core is plenty."""
    data_dir: Path = Path()
    """Where everything is kept. Absent: `~/.hypereal`; for root, `/var/lib/hypereal`."""
    public_url: str | None = None
    """`https://…`: where callers reach this server; links to files begin with it. Absent: as each request names it."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of proxies whose `X-Forwarded-For` is believed."""
    body_bytes_max: int = Field(32 * 1024 * 1024, ge=1024, le=1024**3)
    """The largest request body; over it, 413."""
    drain_s: float = Field(30.0, ge=0, le=3600)
    """How long open answers may go on after SIGTERM."""
    metrics_token: str | None = None
    """Lets a bearer of it read `/metrics` from another machine."""
    secret: str | None = Field(None, min_length=32)
    """What is kept for customers is encrypted with it. Absent: made in the data folder, for the embedded database."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """From which level on lines are logged, on stderr."""
    log_format: log.Format = "auto"
    """`json`: one object a line. `auto`: console on a terminal, else JSON."""

    @field_validator("public_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query or url.fragment:
            raise ValueError("not like https://ai.example.com")
        return value.rstrip("/")

    @field_validator("metrics_token", "secret", mode="before")
    @classmethod
    def _resolved(cls, value: object, about: ValidationInfo) -> str | None:
        return resolve_secret(value, name=f"server.{about.field_name}")


class DatabaseSection(Section):
    """[database]"""

    url: str | None = None
    """`postgresql://…`. Absent: an embedded PostgreSQL in the data folder."""
    connections_max: int = Field(8, ge=2, le=200)
    """Of each process; a data process opens two more."""


class Limits(Section):
    """[limits]"""

    requests_per_minute: int = Field(600, ge=1)
    """Of all keys of one owner together, over all processes."""
    submissions_per_minute: int = Field(60, ge=1)
    """Of media jobs, of all keys of one owner together. Polling does not count."""


class Ledger(Section):
    """[ledger]"""

    minimum_balance_credits: int = Field(200, ge=0)
    """The least balance that a call which costs money needs."""
    low_balance_credits: int = Field(500, ge=0)
    """A wallet that falls to this is told of, once, by the event `balance.low`."""
    durability: Literal["spool", "database"] = "spool"
    """What has a call's settlement before its reply ends: a file of the data folder, or the database."""
    lease_offline_s: float = Field(600.0, ge=60, le=86400)
    """How long a data process serves from leased credit without the database. Later its leases go back."""


class MailSection(Section):
    """[mail]"""

    smtp_url: str | None = None
    """`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`. Absent: mail is not sent, and the log says so."""
    sender: str = Field("Hypereal <hypereal@localhost>", alias="from")
    """Whom mail is from: an address, or `Name <address>`."""

    @field_validator("smtp_url", mode="before")
    @classmethod
    def _resolved(cls, value: object) -> str | None:
        return resolve_secret(value, name="mail.smtp_url")

    @field_validator("smtp_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None:
            url = urlsplit(value)
            if url.scheme not in ("smtp", "smtps") or not url.hostname or url.port == 0:
                raise ValueError("not an address like smtp://user:password@mail.example.com:587")
        return value

    @field_validator("sender")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            ((name, address),) = getaddresses([value])
            Address(name, addr_spec=address)
        except (ValueError, IndexError, MessageError):
            raise ValueError("not one address, nor one 'Name <address>'") from None
        if not value.isprintable():
            raise ValueError("not one line of text")
        return value

    @property
    def sender_address(self) -> str:
        """The bare address of `sender`."""
        return parseaddr(self.sender)[1]


class RequestLog(Section):
    """[log]"""

    retention_days: int = Field(90, ge=1, le=3650)
    """How long the row of a call is kept, in whole days besides today (UTC)."""
    sums_days: int = Field(800, ge=1, le=36500)
    """The same of the sums by hour; never shorter than of the rows."""
    bodies_mb_per_day: int = Field(256, ge=0, le=10**6)
    """Of one account's bodies what is kept of a day, compressed, in MiB; only of keys that ask. 0: nobody's."""
    redact_emails: bool = False
    """Whether e-mail addresses are taken out of bodies too, as credentials and media are."""


class TracesSection(Section):
    """[traces]"""

    endpoint: str | None = Field(None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    """Of an OpenTelemetry receiver (OTLP over HTTP). Absent: `OTEL_EXPORTER_OTLP_ENDPOINT`, else no traces."""


class OutboundSection(Section):
    """[outbound]"""

    allow: tuple[str, ...] = ()
    """Hosts, addresses and nets that URLs of callers may lead to although they are not public: `10.1.0.0/16`."""

    @field_validator("allow", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A variable holds them as one text."""
        return tuple(entry.strip() for entry in value.split(",") if entry.strip()) if isinstance(value, str) else value


class StorageSection(Section):
    """[storage]"""

    url: str | None = None
    """`s3://bucket/prefix?endpoint=https://…&region=…`. Absent: files in the data folder, of this one host."""
    access_key_id: str | None = None
    """Of the bucket. Absent: `AWS_ACCESS_KEY_ID`."""
    secret_access_key: str | None = None
    """Absent: `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` where the credentials end by themselves."""
    quota_gb: int | None = Field(100, ge=1, le=10**6)
    """What one account may store, in 10^9 bytes; what jobs made counts, but is never refused."""
    price_gb_month: Decimal = Field(Decimal(0), ge=0, le=10**6, decimal_places=6)
    """Credits for 10^9 bytes kept for 30 days, charged once a day."""
    output_days: int | None = Field(None, ge=1, le=36500)
    """How long what jobs made is kept. Absent: until it is deleted."""

    @field_validator("url")
    @classmethod
    def _is_bucket(cls, value: str | None) -> str | None:
        if value is not None:
            read_address(value)
        return value

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        for key, variable in names.items():
            if self.url is not None and not getattr(self, key) and not os.environ.get(variable):
                raise ValueError(f"a bucket needs {key}, or the variable {variable}")
        return self

    @field_validator("access_key_id", "secret_access_key", mode="before")
    @classmethod
    def _resolved(cls, value: object, about: ValidationInfo) -> str | None:
        return resolve_secret(value, name=f"storage.{about.field_name}")


class Settings(Section):
    """Everything an operator can set. `providers` and `models` are raw tables: `providers` and `catalog` check them."""

    server: Server = Server()
    database: DatabaseSection = DatabaseSection()
    limits: Limits = Limits()
    ledger: Ledger = Ledger()
    mail: MailSection = MailSection()
    log: RequestLog = RequestLog()
    traces: TracesSection = TracesSection()
    outbound: OutboundSection = OutboundSection()
    storage: StorageSection = StorageSection()
    providers: dict[str, dict[str, Any]] = {}
    models: dict[str, dict[str, Any]] = {}

    @field_validator("providers", "models")
    @classmethod
    def _bounded(cls, tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if len(tables) > 10_000:
            raise ValueError("more than 10,000 tables")
        return tables

    @property
    def spool_dir(self) -> Path:
        """What data processes settled, until the database has it."""
        return self.server.data_dir / "spool"

    @property
    def run_dir(self) -> Path:
        """Sockets, metrics snapshots and pid files of the running processes."""
        return self.server.data_dir / "run"


def default_data_dir() -> Path:
    """`~/.hypereal`, or `/var/lib/hypereal` for root."""
    return Path("/var/lib/hypereal") if os.geteuid() == 0 else Path.home() / ".hypereal"


def load(config: Path | None = None, overrides: dict[str, dict[str, Any]] | None = None) -> Settings:
    """Read CONFIG (else HYPEREAL_CONFIG, else ./hypereal.toml where it exists), then the environment, then OVERRIDES.

    Raises BadSettings with a message for the operator.
    """
    named = config or (Path(os.environ["HYPEREAL_CONFIG"]) if os.environ.get("HYPEREAL_CONFIG") else None)
    path = named or Path("hypereal.toml")
    tables: dict[str, Any] = {}
    if named is not None or path.exists():
        tables = _read(path)
    for section, key, value in _from_environment():
        tables.setdefault(section, {})[key] = value
    for section, values in (overrides or {}).items():
        tables.setdefault(section, {}).update(values)
    server = tables.setdefault("server", {})
    if isinstance(server, dict):
        server["data_dir"] = Path(server.get("data_dir") or default_data_dir()).expanduser().absolute()
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise BadSettings(_explain(path, error)) from None


def keys_of(section: object) -> dict[str, FieldInfo]:
    """The keys of a table as the file has them; empty for what is no table."""
    fields: dict[str, FieldInfo] = getattr(section, "model_fields", {})
    return {field.alias or name: field for name, field in fields.items()}


def resolve_secret(value: object, *, name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """A secret setting: plain text, `{ env = "NAME" }` or `{ file = "PATH" }`. None where the variable is not set.

    Raises BadSettings for another shape or an unreadable file.
    """
    match value:
        case None:
            return None
        case str():
            return value
        case {"env": str(variable), **rest} if not rest:
            return environ.get(variable) or None
        case {"file": str(path), **rest} if not rest:
            try:
                return Path(path).expanduser().read_text(encoding="utf-8").strip() or None
            except OSError as error:
                raise BadSettings(f"{name}: cannot read {path}: {error.strerror}") from None
        case _:
            raise BadSettings(f'{name}: give text, {{ env = "NAME" }} or {{ file = "PATH" }}')


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadSettings(f"{path}: over {FILE_BYTES_MAX} bytes")
        with path.open("rb") as file:
            return tomllib.load(file, parse_float=Decimal)  # prices must stay exact
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path}: not TOML: {error}") from None


def _from_environment() -> list[tuple[str, str, str]]:
    """(section, key, value) of every variable of ours. A name that fits nothing only warns."""
    found = []
    for name, value in sorted(os.environ.items()):
        if not name.startswith("HYPEREAL_") or name in CLIENT_VARIABLES or not value:
            continue
        section, _, key = name.removeprefix("HYPEREAL_").lower().partition("__")
        if name in SHORT_FORMS:
            section, key = SHORT_FORMS[name]
        field = Settings.model_fields.get(section)
        if field is None or key not in keys_of(field.annotation):
            if not name.startswith("HYPEREAL_TEST_"):
                log.get("settings").warning("unknown environment variable", variable=name)
            continue
        found.append((section, key, value))
    return found


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        what = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {where}: {what}")
    return "\n".join(lines)
