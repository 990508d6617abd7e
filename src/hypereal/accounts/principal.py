"""Who a call is on behalf of."""

import msgspec

from hypereal.accounts.addresses import Network
from hypereal.kit.ids import AccountId, KeyId
from hypereal.kit.money import Micro


class Principal(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Whoever a key speaks for. The owner's wallet pays, and within it the key's month where it has a limit."""

    key_id: KeyId
    owner_id: AccountId
    scopes: frozenset[str]
    models: frozenset[str] | None
    """The only model ids it may call; None for all."""
    spending_limit: Micro | None
    """Per calendar month, UTC."""
    expires_at: float | None
    """Unix seconds. Of a secret that was rotated out, the end of its grace time."""
    networks: tuple[Network, ...] | None = None
    """The only addresses that it may be used from; None for all."""
    requests_per_minute: int | None = None
    """Of all the owner's keys together; None for that of the settings."""
    bodies_days: int | None = None
    """How long the bodies of its calls are kept; None: they are not."""


class Entry(msgspec.Struct):
    """What a process remembers of a key, and since when (monotonic seconds)."""

    principal: Principal
    read_s: float
    fresh_until_s: float
