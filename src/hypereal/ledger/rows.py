"""The usage log's row: what is kept of every authenticated call. Its members are columns of the table `usage`.

A row becomes one JSON object, its *record*. Half of it is the same for all calls of one caller to one model: that is
encoded once (`Asker`, `Asked`, kept in a `Stem`), and of each call only what is its own.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from hypereal.kit.ids import AccountId, KeyId, PoolId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage

_encode = msgspec.json.Encoder().encode


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One request to one target."""

    target: str
    """'provider:model'"""
    status: int
    """What it answered, or what the error inside its 200 stands for; 0 where it did not answer."""
    ms: int
    after_ms: int = 0
    """How long after the call began it was sent."""


# What has a default is left out where it says nothing: its column takes NULL, a count 0 (`usage_blank`).


class Asker(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Who called, and how: the same for all calls with one key and one head."""

    owner_id: AccountId
    key_id: KeyId
    endpoint: str
    client: str
    """The caller's User-Agent, at most 200 characters."""
    app: str | None = None
    """The caller's `x-hypereal-app`."""

    def encoded(self) -> bytes:
        """The beginning of a record. Raises UnicodeEncodeError for half a surrogate pair."""
        return _encode(self)[:-1] + b","


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What was called: the same for all calls that go one way at one price."""

    dialect: str
    model: str
    """As the catalog names it; as the caller wrote it where it was refused."""
    provider: str | None = None
    target: str | None = None
    """The model's name at the provider."""
    price_version: str | None = None
    """Of the price that was in force when the call began."""

    def encoded(self) -> bytes:
        """What follows in the record. Raises UnicodeEncodeError for half a surrogate pair."""
        return _encode(self)[1:-1] + b","


class Stem:
    """An `Asker` or `Asked`, encoded: right for as long as what it is `of` is the same object."""

    __slots__ = ("encoded", "of")

    def __init__(self) -> None:
        self.of: object = self
        self.encoded = b""

    def become(self, of: object, said: Asker | Asked) -> bytes:
        """SAID, which is right for OF, is what it says from now on."""
        self.encoded, self.of = said.encoded(), of
        return self.encoded


class Details(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """What one call has for itself. Its tokens (`kit.usage.Usage`) and its money, micro-credits, are for the ledger to
    add."""

    request_id: str
    started_at: datetime | str
    """As text: ISO 8601 with its zone."""
    status: int
    """What the caller got; 499 where the caller left."""
    is_stream: bool
    attempts: int
    duration_ms: int
    first_byte_ms: int | None = None
    error_type: str | None = None
    tried: tuple[Attempt, ...] | None = None
    """The requests to targets that failed; None where the first one answered."""
    cache_saved: int | None = None
    """Micro-credits that the vendor's cache saved, less what its writes cost; None where it did nothing."""
    upstream_id: str | None = None
    """What the upstream calls its answer."""
    end_user: str | None = None
    """The caller's own `user`."""
    metadata: dict[str, str] | None = None
    """The caller's own tags."""
    upstream_cost: int | None = None
    """Micro-credits that the vendor charges us; None where that is not known."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    is_estimated: bool = False
    cost: int | None = None
    charged: int | None = None
    written_off: int = 0
    month: PoolId | None = None


class UsageRow(msgspec.Struct, frozen=True, gc=False):
    """The facts of one call."""

    shared: bytes
    """An `Asker` and an `Asked`, encoded."""
    details: Details

    @classmethod
    def of(cls, asker: Asker, asked: Asked, details: Details) -> "UsageRow":
        """Of a call that shares nothing. Raises UnicodeEncodeError for half a surrogate pair."""
        return cls(asker.encoded() + asked.encoded(), details)


def record(row: UsageRow, usage: Usage, cost: int, charged: int, month: PoolId | None = None) -> bytes:
    """The whole JSON object of one settled call, micro-credits: its usage row, and all that its charge needs.

    The owner's wallet is charged, and MONTH, where the key has a limit: the key's month when the call began. Texts of
    the call that are none (half a surrogate pair) are left out.
    """
    details = row.details
    details.cost, details.charged, details.written_off, details.month = cost, charged, cost - charged, month
    details.input_tokens, details.output_tokens = usage.input_tokens, usage.output_tokens
    if usage.cache_read_tokens:
        details.cache_read_tokens = usage.cache_read_tokens
    if usage.cache_write_tokens:
        details.cache_write_tokens = usage.cache_write_tokens
    if usage.cache_write_1h_tokens:
        details.cache_write_1h_tokens = usage.cache_write_1h_tokens
    if usage.reasoning_tokens:
        details.reasoning_tokens = usage.reasoning_tokens
    if usage.web_searches:
        details.web_searches = usage.web_searches
    if usage.is_estimated:
        details.is_estimated = True
    try:
        own = _encode(details)
    except UnicodeEncodeError:
        own = _encode(msgspec.structs.replace(details, error_type=None, upstream_id=None, end_user=None, metadata=None))
    return row.shared + own[1:]


def late(record: bytes) -> bytes:
    """RECORD of a call whose lease was gone: the database charges what is free, at most what RECORD says."""
    return record[:-1] + b',"is_late":true}'


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What a record says of money, read again."""

    owner_id: str
    cost: int
    charged: int
    month: str | None = None
    is_late: bool = False

    @property
    def pools(self) -> tuple[PoolId, ...]:
        """Those that are charged."""
        wallet = PoolId(self.owner_id)
        return (wallet,) if self.month is None else (wallet, PoolId(self.month))


read: Callable[[bytes], Settled] = msgspec.json.Decoder(Settled).decode


def document(lines: list[bytes]) -> str:
    """LINES as one JSON array that PostgreSQL takes: its text cannot hold NUL, so that becomes U+FFFD."""
    joined = b",".join(lines).replace(b"\\u0000", b"\\ufffd")
    return f"[{joined.decode()}]"


def limits_document(limits: list[tuple[PoolId, AccountId, Micro]]) -> str:
    """The months of keys with their limits, as `ledger_flush` reads them."""
    return _encode([{"id": pool, "owner_id": owner, "funded": limit} for pool, owner, limit in limits]).decode()
