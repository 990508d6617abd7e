"""What a process knows of one wallet or of one key's month, and how much of it to lease. Only the books change it.

A pool is leased ahead of its calls (a *slice*) while it is well, and *exact* for a second after credit ran short: then
all that is free goes back with every batch, and a batch asks for what callers wait for, not more.
"""

from typing import Final

from hypereal.kit.ids import AccountId, PoolId
from hypereal.kit.money import Micro
from hypereal.ledger.asks import Ask, Standing

EXACT_S: Final = 1.0
"""How long a pool that was refused or recalled leases nothing ahead."""
WISH_MAX: Final = 10**15
"""The most that one batch wishes for, ten million dollars: what a sum of holds may come to has no other bound."""


class Pool:
    """A wallet or a key's month. Amounts are micro-credits.

    `leased` is the database's `granted - charged` once the batch in flight is applied; at every moment
    `leased = free + open holds + charged`, but for what a batch in flight brings.
    """

    __slots__ = (
        "alone",
        "balance",
        "charged",
        "elsewhere",
        "exact_until_s",
        "former_peak",
        "free",
        "id",
        "is_limit_sent",
        "is_short",
        "leased",
        "limit",
        "owner_id",
        "peak",
        "unleased",
        "wanted",
    )

    def __init__(self, pool_id: PoolId, owner_id: AccountId, limit: Micro | None) -> None:
        self.id = pool_id
        self.owner_id = owner_id
        self.alone = (self,)
        """All the pools of a call by a key without a limit, where this is the wallet."""
        self.limit = limit
        """A key's month: the key's spending limit. None for a wallet."""
        self.is_limit_sent = limit is None
        self.leased = 0
        self.free = 0
        self.charged = 0
        """Charged since the last batch was made."""
        self.wanted = 0
        """The sum of the pending tickets."""
        self.peak = self.former_peak = 0
        """The most that was in use at once in this second and in the one before."""
        self.exact_until_s = 0.0
        self.balance: int | None = None
        """funded - used, as the database last said, after the charges it knew."""
        self.unleased = 0
        """What the database had left to grant."""
        self.elsewhere = 0
        """What other processes leased, as the database last said."""
        self.is_short = False
        """The last grant was less than what was asked for."""

    def note_use(self) -> None:
        """Remember how much is in use, or waited for, where that is the most so far."""
        used = self.leased - self.free + self.wanted
        if used > self.peak:
            self.peak = used

    def begin_second(self) -> None:
        """Forget the peak of the second before last."""
        self.former_peak, self.peak = self.peak, self.leased - self.free + self.wanted

    def surplus(self, now_s: float) -> int:
        """What is free and should go back."""
        return max(0, self.free - self._kept(now_s))

    def ask(self, charged: int, least: int, now_s: float, *, returns: bool = True) -> Ask:
        """Take out of the lease what was CHARGED and what goes back, and say what is asked for instead.

        Without RETURNS, what is idle stays.
        """
        self.note_use()
        self.charged -= charged
        self.leased -= charged
        if self.balance is not None:
            self.balance -= charged
        if now_s < self.exact_until_s:
            # All of it goes back even where callers wait, so that what is too little for them is never kept from others
            # and a limit that was lowered holds for what was leased before.
            returned, need, wish = self.free, self.wanted, 0
        else:
            returned, need = self.surplus(now_s) if returns else 0, max(0, self.wanted - self.free)
            least = max(1, least - self.free)
            wish = min(WISH_MAX, max(0, self._kept(now_s) - max(self.free, self.wanted)))
        self.free -= returned
        self.leased -= returned
        return Ask(self, charged, returned, need, least, wish)

    def granted(self, ask: Ask, standing: Standing, now_s: float) -> None:
        """The database applied ASK."""
        given = standing.leased - self.leased
        self.leased = standing.leased
        self.free += given
        self.is_short = given < ask.need
        if self.is_short:
            self.be_exact(now_s)
        self.balance = standing.balance
        self.unleased = standing.unleased
        self.elsewhere = standing.elsewhere

    def be_exact(self, now_s: float) -> None:
        """Credit is short: lease nothing ahead for a while."""
        self.exact_until_s = now_s + EXACT_S

    def _kept(self, now_s: float) -> int:
        """What should be free: twice what the last seconds needed at once, less what is in use."""
        if now_s < self.exact_until_s:
            return 0
        return max(self.wanted, 2 * max(self.peak, self.former_peak) - (self.leased - self.free))
