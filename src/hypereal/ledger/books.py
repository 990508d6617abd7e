"""One process's books: what it leases, holds and has charged, in memory.

Pure, but for the journal, where settled calls are written before their answers end. `ledger.py` carries batches to the
database, one in flight: what was charged, what goes back, what is needed and wished for, and the usage rows. How much
is leased ahead of the calls is in `pools.py`. A batch leads from one position of the journal to another, and is applied
where the database has the first: so it may be sent any number of times, and a lost answer is mended by sending it
again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from hypereal.kit.clock import boottime_s, coarse, next_month_start, utc_now
from hypereal.kit.errors import HyperealError
from hypereal.kit.ids import PoolId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import refusals
from hypereal.ledger.asks import Standing
from hypereal.ledger.batches import Batch, Journal, Line, late_again
from hypereal.ledger.holds import AlreadySettled, Hold, Payer, Settlement, Ticket, TicketState
from hypereal.ledger.pools import Pool
from hypereal.ledger.rows import UsageRow, late, record

ROWS_MAX: Final = 100_000
"""Usage rows waiting for the database: some 60 MB. At it no new call is taken."""
TICKETS_MAX: Final = 10_000
ROWS_PER_BATCH: Final = 2_000
RECALL_S: Final = 0.02
"""How often a pool that is short is asked again, while other processes give back what they do not use."""
RECALL_S_MAX: Final = 0.15
"""How long a ticket waits for what others give back."""
HEARD_S: Final = 1.0
"""What is idle goes back only while the database answers: in an outage calls are served from what is leased."""
COST_MAX: Final = 10**15
"""The most one call can cost: ten million dollars. A vendor's absurd token count must not stop the batch it is in."""

NO_USAGE: Final = Usage()
NOTHING: Final = Micro(0)


class Books:
    """Holds, grown, settled or released without waiting; tickets where credit must be asked for first."""

    def __init__(self, balance_min: Micro, journal: Journal) -> None:
        self._balance_min = balance_min
        self._journal = journal
        self._pools: dict[str, Pool] = {}
        """By id: a wallet has its owner's."""
        self._dirty: dict[Pool, None] = {}
        self._waiting: list[Ticket] = []
        self._short: list[Ticket] = []
        """Tickets that wait for what other processes give back; they are in every batch."""
        self._pending = 0
        self._settled: list[tuple[UsageRow, Usage, int, int, tuple[Pool, ...]]] = []
        """Calls that are not in the journal yet: row, usage, cost, charged, pools."""
        self._lines: list[Line] = []
        self._in_flight: Batch | None = None
        self._acked = journal.position
        self._epoch = 0
        self._second_began_s = 0.0
        self._heard_s = float("-inf")
        """When the database last answered."""
        self.live_until_s = 0.0
        """By `boottime_s`: a process that was stopped or cut off for so long must not spend its leases."""
        self._month = ""
        self._month_ends_s = 0.0
        self.rows_dropped = 0
        """Rows of calls that held nothing, given up because the database was away too long."""

    @property
    def has_work(self) -> bool:
        """Whether the database has not been told everything."""
        return bool(self._in_flight or self._dirty or self._lines or self._settled)

    @property
    def lines_waiting(self) -> int:
        """Usage rows that the database does not have yet."""
        in_flight = 0 if self._in_flight is None else len(self._in_flight.lines)
        return len(self._settled) + len(self._lines) + in_flight

    @property
    def has_waiting(self) -> bool:
        """Whether somebody waits for credit that was not asked for yet."""
        return bool(self._waiting)

    @property
    def is_short(self) -> bool:
        """Whether somebody waits for what other processes may give back; to be asked for again after RECALL_S."""
        return bool(self._short)

    # -- a hold's life -------------------------------------------------------------------------------------------

    def hold_now(self, payer: Payer, amount: Micro) -> Hold | None:
        """Reserve AMOUNT where the leases have it and nobody waits for it; None: `hold` has the answer."""
        wallet = self._pools.get(payer.owner_id)
        if (
            wallet is None
            or wallet.balance is None
            or wallet.balance - wallet.charged < self._balance_min
            or len(self._lines) >= ROWS_MAX
            or boottime_s() >= self.live_until_s
        ):
            return None
        amount = amount or Micro(1)
        if wallet.free < amount or wallet.wanted:
            return None
        pools: tuple[Pool, ...] = wallet.alone
        if payer.spending_limit is not None:
            pools = self._pools_of(payer)
            month = pools[1]
            if month.free < amount or month.wanted or not month.is_limit_sent:
                return None
            month.free -= amount
        wallet.free -= amount
        return Hold(pools, self._epoch, amount)

    def hold(self, payer: Payer, amount: Micro, on_ready: Callable[[], None]) -> Ticket:
        """Reserve AMOUNT, at once where the leases have it. The ticket may be held, refused or pending.

        At least one micro-credit is held, so that a pool with an open hold is never without a lease.
        """
        if self._is_full:
            return _refused(Ticket(Hold((), self._epoch), amount, on_ready, False), refusals.overloaded())
        pools = self._pools_of(payer)
        ticket = Ticket(Hold(pools, self._epoch), amount or 1, on_ready, False)
        if self._has_least_balance(pools[0]):
            self._give_or_queue(ticket)
        else:
            self._queue(ticket)
        return ticket

    def grow(self, hold: Hold, extra: Micro, on_ready: Callable[[], None]) -> Ticket:
        """Add EXTRA to an open hold, as `hold` does."""
        if not hold.is_open:
            raise AlreadySettled
        ticket = Ticket(hold, extra, on_ready, True)
        if hold.epoch != self._epoch:
            return _refused(ticket, refusals.ended())
        if self._is_full:
            return _refused(ticket, refusals.overloaded())
        self._give_or_queue(ticket)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for TICKET any more: what it was or would be given goes back. Nothing where it was taken."""
        if ticket.state is TicketState.PENDING:
            self._unwait(ticket)
            ticket.state = TicketState.CANCELLED
        elif ticket.state is TicketState.HELD:
            ticket.state = TicketState.CANCELLED
            if not ticket.is_growth:
                self._close(ticket.hold, 0)

    def settle(self, hold: Hold, cost: Micro, usage: Usage, row: UsageRow) -> Settlement:
        """Charge COST, at most the hold and what is free in the leases; free the rest. Raises AlreadySettled."""
        if not hold.is_open:
            raise AlreadySettled
        if cost > COST_MAX:
            cost = Micro(COST_MAX)
        pools = hold.pools
        if hold.epoch != self._epoch:
            return self._settle_late(hold, record(row, usage, cost, cost, _month_of(pools)), cost)
        charged = cost
        if cost > hold.amount:
            charged = _payable(hold, cost)
        self._close(hold, charged)
        self._settled.append((row, usage, cost, charged, pools))
        return Settlement(charged, NOTHING if charged == cost else Micro(cost - charged))

    def write_down(self) -> None:
        """Write what was settled since to the journal: it must be there before a byte goes out that was paid for."""
        if not self._settled:
            return
        settled, self._settled = self._settled, []
        append, lines = self._journal.append, self._lines
        for row, usage, cost, charged, pools in settled:
            whole = record(row, usage, cost, charged, _month_of(pools))
            lines.append(Line(whole, append(whole), charged, pools))

    def record(self, row: UsageRow) -> None:
        """Log a call that cost nothing and held nothing."""
        if len(self._lines) >= ROWS_MAX:
            self.rows_dropped += 1
        else:
            whole = record(row, NO_USAGE, 0, 0)
            self._lines.append(Line(whole, self._journal.append(whole)))

    # -- batches -------------------------------------------------------------------------------------------------

    def batch(self) -> Batch:
        """The batch in flight, else a new one of everything since the last."""
        if self._in_flight is None:
            self.write_down()
            lines, self._lines = self._lines[:ROWS_PER_BATCH], self._lines[ROWS_PER_BATCH:]
            tickets = [ticket for ticket in (*self._short, *self._waiting) if ticket.is_pending]
            self._short, self._waiting = [], []
            least: dict[Pool, int] = {}
            for ticket in tickets:
                for pool in ticket.hold.pools:
                    least[pool] = min(ticket.amount, least.get(pool, ticket.amount))
            now_s = time.monotonic()
            charges = self._charges(lines)
            returns = now_s < self._heard_s + HEARD_S
            asks = [pool.ask(charges[pool], least.get(pool, 1), now_s, returns=returns) for pool in self._dirty]
            limits = [
                (pool.id, pool.owner_id, pool.limit)
                for pool in self._dirty
                if pool.limit is not None and not pool.is_limit_sent
            ]
            # What has no lines leads somewhere too: an empty record.
            end = lines[-1].end if lines else self._journal.append(b"")
            self._in_flight = Batch(start=self._acked, end=end, asks=asks, limits=limits, lines=lines, tickets=tickets)
            for pool in self._dirty:
                pool.is_limit_sent = True
            self._dirty = {pool: None for pool in self._dirty if pool.charged}
        return self._in_flight

    def _charges(self, lines: list[Line]) -> "dict[Pool, int] | Counter[Pool]":
        """What each dirty pool is charged by LINES: a charge travels with its row."""
        if not self._lines:
            return {pool: pool.charged for pool in self._dirty}
        charges = Counter[Pool]()
        for line in lines:
            for pool in line.pools:
                charges[pool] += line.charged
        return charges

    def applied(self, standings: Iterable[Standing]) -> list[Ticket]:
        """The batch in flight was applied. Returns the tickets that this decided."""
        batch = self._in_flight
        assert batch is not None
        self._in_flight = None
        self._acked = batch.end
        self._heard_s = now_s = time.monotonic()
        for ask, standing in zip(batch.asks, standings, strict=True):
            ask.pool.granted(ask, standing, now_s)
        tickets = [ticket for ticket in batch.tickets if ticket.is_pending]
        asked_again: list[Ticket] = []
        for ticket in tickets:
            self._decide(ticket, now_s)
            if ticket.is_pending:
                (self._short if ticket.short_s else asked_again).append(ticket)
        self._waiting[:0] = asked_again
        for ask in batch.asks:
            self._tidy(ask.pool, now_s)
        return [ticket for ticket in tickets if not ticket.is_pending]

    def recall(self, pool_id: PoolId) -> bool:
        """Another process is short of a pool: lease nothing ahead of it. Whether there is something to give back."""
        pool = self._pools.get(pool_id)
        if pool is None:
            return False
        now_s = time.monotonic()
        pool.be_exact(now_s)
        self._tidy(pool, now_s)
        return pool.free > pool.wanted

    def sweep(self) -> None:
        """Find what was idle for two seconds: it goes back with the next batch. Called twice a second."""
        now_s = time.monotonic()
        if now_s < self._second_began_s + 1:
            return
        self._second_began_s = now_s
        for pool in list(self._pools.values()):
            pool.begin_second()
            self._tidy(pool, now_s)

    def begin(self, journal: Journal) -> None:
        """The process has another number, and JOURNAL: it leases nothing yet.

        What the former journal has is settled by whoever reclaims it; what was lost with its disk goes into this one.
        Holds that are open are settled late.
        """
        self.write_down()
        self._epoch += 1
        self.live_until_s = 0.0
        lines, former = self._lines, self._journal
        if self._in_flight is not None:
            lines = self._in_flight.lines + lines
            self._waiting[:0] = [ticket for ticket in self._in_flight.tickets if ticket.is_pending]
            self._in_flight = None
        self._acked, self._journal = journal.position, journal
        self._lines = [late_again(line, journal) for line in lines if not former.has(line.end)]
        self._waiting[:0], self._short = self._short, []
        for pool in self._pools.values():
            pool.leased = pool.free = pool.charged = pool.peak = pool.former_peak = 0
            pool.balance = None
            pool.is_limit_sent = pool.limit is None
        self._dirty = {pool: None for pool in self._pools.values() if pool.wanted}
        for ticket in self._waiting:
            if not ticket.is_growth:
                ticket.hold.epoch = self._epoch

    def refuse_waiting(self, since_s: float) -> list[Ticket]:
        """Give up on the tickets that wait since SINCE_S (monotonic) or longer. Returns them."""
        asked = self._in_flight.tickets if self._in_flight is not None else []
        late = [
            ticket
            for ticket in (*asked, *self._short, *self._waiting)
            if ticket.is_pending and ticket.since_s <= since_s
        ]
        for ticket in late:
            self._unwait(ticket)
            _refused(ticket, refusals.overloaded())
        self._short = [ticket for ticket in self._short if ticket.is_pending]
        self._waiting = [ticket for ticket in self._waiting if ticket.is_pending]
        return late

    # -- below: single steps -------------------------------------------------------------------------------------

    def _pools_of(self, payer: Payer) -> tuple[Pool, ...]:
        """The payer's wallet, first, and the month of a key that has a limit."""
        owner_id, limit = payer.owner_id, payer.spending_limit
        wallet = self._pools.get(owner_id)
        if wallet is None:
            wallet = self._pools[owner_id] = Pool(PoolId(owner_id), owner_id, None)
        if limit is None:
            return wallet.alone
        month_id = PoolId(f"{payer.key_id}/{self._month_now()}")
        month = self._pools.get(month_id)
        if month is None:
            month = self._pools[month_id] = Pool(month_id, owner_id, limit)
        elif month.limit != limit:
            month.limit = limit
            month.is_limit_sent = False
            month.be_exact(time.monotonic())
        return (wallet, month)

    def _month_now(self) -> str:
        if coarse.unix_s >= self._month_ends_s:
            now = utc_now()
            self._month = f"{now:%Y-%m}"
            self._month_ends_s = next_month_start(now).timestamp()
        return self._month

    def _has_least_balance(self, wallet: Pool) -> bool:
        return wallet.balance is not None and wallet.balance - wallet.charged >= self._balance_min

    def _give_or_queue(self, ticket: Ticket) -> None:
        """Give where the leases have the amount, nobody waits for it, and they are surely ours."""
        for pool in ticket.hold.pools:
            if pool.free < ticket.amount or pool.wanted or not pool.is_limit_sent:
                return self._queue(ticket)
        return self._give(ticket) if boottime_s() < self.live_until_s else self._queue(ticket)

    def _give(self, ticket: Ticket) -> None:
        for pool in ticket.hold.pools:
            pool.free -= ticket.amount
        ticket.hold.amount += ticket.amount
        ticket.state = TicketState.HELD

    @property
    def _is_full(self) -> bool:
        return len(self._lines) >= ROWS_MAX or self._pending >= TICKETS_MAX

    def _queue(self, ticket: Ticket) -> None:
        ticket.since_s = time.monotonic()
        self._pending += 1
        self._waiting.append(ticket)
        for pool in ticket.hold.pools:
            pool.wanted += ticket.amount
            pool.note_use()
            self._dirty[pool] = None

    def _unwait(self, ticket: Ticket) -> None:
        self._pending -= 1
        for pool in ticket.hold.pools:
            pool.wanted -= ticket.amount

    def _decide(self, ticket: Ticket, now_s: float) -> None:
        """Give or refuse; leave pending what was not asked for in full, or what others may give back.

        Not asked for in full: a settle may take what a ticket waits for.
        """
        hold = ticket.hold
        if not hold.is_open or hold.epoch != self._epoch:
            error: HyperealError | None = refusals.ended()
        elif not ticket.is_growth and not self._has_least_balance(hold.pools[0]):
            error = refusals.below_least_balance(hold.pools[0], self._balance_min)
        else:
            lacking = _lacking(ticket)
            if lacking is not None and (not lacking.is_short or _may_come(lacking, ticket, now_s)):
                for pool in hold.pools:
                    self._dirty[pool] = None
                return
            error = None if lacking is None else refusals.lacking(lacking, ticket.amount)
        self._unwait(ticket)
        if error is None:
            self._give(ticket)
        else:
            _refused(ticket, error)

    def _settle_late(self, hold: Hold, whole: bytes, cost: Micro) -> Settlement:
        """Its lease went with the process's former number: the database charges what is free."""
        hold.is_open = False
        if cost:
            whole = late(whole)
        self._lines.append(Line(whole, self._journal.append(whole), is_late=cost > 0))
        return Settlement(cost, Micro(0))

    def _close(self, hold: Hold, charged: int) -> None:
        """End HOLD: CHARGED of it and of what is free is spent, the rest is free. A former number's changes nothing."""
        hold.is_open = False
        if hold.epoch != self._epoch:
            return
        left = hold.amount - charged
        for pool in hold.pools:
            pool.note_use()  # here, since use is at its most before something ends
            pool.free += left
            pool.charged += charged
            self._dirty[pool] = None

    def _tidy(self, pool: Pool, now_s: float) -> None:
        """Keep POOL for the next batch where it has something to say; forget it where nothing is or will be leased."""
        if pool.charged or pool.wanted or pool.surplus(now_s):
            self._dirty[pool] = None
        elif not pool.leased and now_s >= pool.exact_until_s and pool not in self._dirty and self._in_flight is None:
            self._pools.pop(pool.id, None)


def _month_of(pools: tuple[Pool, ...]) -> PoolId | None:
    """The month of a key, where a hold is in one."""
    return None if len(pools) == 1 else pools[1].id


def _payable(hold: Hold, cost: Micro) -> Micro:
    """What of COST the hold and the free credit of its pools can pay."""
    return min(cost, *(Micro(hold.amount + pool.free) for pool in hold.pools))


def _lacking(ticket: Ticket) -> Pool | None:
    for pool in ticket.hold.pools:
        if pool.free < ticket.amount:
            return pool
    return None


def _may_come(pool: Pool, ticket: Ticket, now_s: float) -> bool:
    """Whether what TICKET lacks of POOL is leased by others, who were told of it, and it has not waited too long."""
    if not ticket.short_s:
        ticket.short_s = now_s
    return pool.elsewhere > 0 and now_s + RECALL_S <= ticket.short_s + RECALL_S_MAX


def _refused(ticket: Ticket, error: HyperealError) -> Ticket:
    ticket.hold.is_open = ticket.is_growth and ticket.hold.is_open
    ticket.state = TicketState.REFUSED
    ticket.error = error
    return ticket
