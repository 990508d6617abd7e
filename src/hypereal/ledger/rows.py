"""The usage log's row: what is kept of every authenticated call. Its members are columns of the table `usage`."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from hypereal.kit.ids import AccountId, KeyId, PoolId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage

NOTHING = b"{}"

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


class UsageRow(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The facts of one call, but for its tokens (`kit.usage.Usage`) and its money, which the ledger adds.

    What has a default is left out where it says nothing: its column takes NULL.
    """

    request_id: str
    started_at: datetime
    owner_id: AccountId
    key_id: KeyId
    endpoint: str
    dialect: str
    model: str
    """As the catalog names it; as the caller wrote it where it was refused."""
    provider: str | None = None
    target: str | None = None
    """The model's name at the provider."""
    status: int
    """What the caller got; 499 where the caller left."""
    error_type: str | None = None
    is_stream: bool
    attempts: int
    first_byte_ms: int | None = None
    duration_ms: int
    client: str
    """The caller's User-Agent, at most 200 characters."""
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
    app: str | None = None
    """The caller's `x-hypereal-app`."""
    price_version: str | None = None
    """Of the price that was in force when the call began."""
    upstream_cost: int | None = None
    """Micro-credits that the vendor charges us; None where that is not known."""


def facts(row: UsageRow, usage: Usage) -> bytes:
    """ROW and USAGE as the beginning of one JSON object, which `record` ends.

    Raises UnicodeEncodeError for half a surrogate pair.
    """
    begun, counts = _encode(row)[:-1], _encode(usage)
    return b"%b,%b" % (begun, counts[1:-1]) if counts != NOTHING else begun


def record(begun: bytes, cost: int, charged: int, month: PoolId | None = None) -> bytes:
    """The whole JSON object of one settled call, micro-credits: its usage row, and all that its charge needs.

    The owner's wallet is charged, and MONTH, where the key has a limit: the key's month when the call began. What is 0
    is left out; the database takes it so (`usage_blank`).
    """
    if month is not None:
        return b'%b,"cost":%d,"charged":%d,"written_off":%d,"month":"%b"}' % (
            begun,
            cost,
            charged,
            cost - charged,
            month.encode(),
        )
    if cost == charged:
        return b'%b,"cost":%d,"charged":%d}' % (begun, cost, charged)
    return b'%b,"cost":%d,"charged":%d,"written_off":%d}' % (begun, cost, charged, cost - charged)


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
