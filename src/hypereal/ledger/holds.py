"""Credit reserved for one call, and the ticket one waits with for it. Only the books (`books.py`) change them."""

import enum
from collections.abc import Callable
from typing import Protocol

import msgspec

from hypereal.kit.errors import HyperealError
from hypereal.kit.ids import AccountId, KeyId
from hypereal.kit.money import Micro
from hypereal.ledger.pools import Pool


class AlreadySettled(Exception):
    """A hold was settled or released twice. The second time changed nothing."""


class Payer(Protocol):
    """Who pays: the accounts' Principal is one."""

    @property
    def owner_id(self) -> AccountId: ...
    @property
    def key_id(self) -> KeyId: ...
    @property
    def spending_limit(self) -> Micro | None: ...


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """How one call's cost was met: `cost = charged + written_off`, micro-credits."""

    charged: Micro
    written_off: Micro


class TicketState(enum.Enum):
    """A ticket is pending, then one of the others for good."""

    PENDING = enum.auto()
    HELD = enum.auto()
    TAKEN = enum.auto()
    REFUSED = enum.auto()
    CANCELLED = enum.auto()


class Hold:
    """Credit reserved for one call, from every pool that applies. Settled exactly once."""

    __slots__ = ("amount", "epoch", "is_open", "pools")

    def __init__(self, pools: tuple[Pool, ...], epoch: int, amount: int = 0) -> None:
        self.pools = pools
        self.epoch = epoch
        self.amount = amount
        self.is_open = True


class Ticket(msgspec.Struct, eq=False):
    """A question for credit. While `is_pending`, `on_ready` will be called once, unless nobody waits any more."""

    hold: Hold
    amount: int
    on_ready: Callable[[], None]
    is_growth: bool
    """More for a hold that is open: the least balance was asked for when it began."""
    since_s: float = 0.0
    short_s: float = 0.0
    """When credit was first found short for it; 0 where it never was."""
    state: TicketState = TicketState.PENDING
    error: HyperealError | None = None

    @property
    def is_pending(self) -> bool:
        return self.state is TicketState.PENDING

    def take(self) -> Hold:
        """The hold. Raises InsufficientCredits, SpendingLimitReached or Overloaded, as it was decided."""
        if self.error is not None:
            raise self.error
        if self.state is not TicketState.HELD:
            raise RuntimeError("the ticket is pending, cancelled, or was taken before")
        self.state = TicketState.TAKEN
        return self.hold

    def announce(self) -> None:
        """Tell who waits, unless nobody does any more: the ticket was cancelled, or the hold ended before it grew."""
        is_over = self.is_growth and not self.hold.is_open
        if self.state is not TicketState.CANCELLED and not is_over:
            self.on_ready()
