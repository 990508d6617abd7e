"""The server with money switched off, to see what money costs. It exists for the benchmark only: no setting does this.

`python benchmarks/without_money.py serve …` is `hypereal serve …` whose data processes hold, settle and log nothing.
"""

import sys
from collections.abc import Callable

from hypereal.cli.serve import wiring
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import Hold, Ledger, Payer, Settlement, Ticket, UsageRow
from hypereal.serve import data

NOTHING = Settlement(charged=Micro(0), written_off=Micro(0))


class FreeLedger(Ledger):
    """Every hold is given at once, out of nothing."""

    def hold(self, payer: Payer, amount: Micro, on_ready: Callable[[], None]) -> Ticket:
        return Ticket.free(amount, on_ready)

    def settle(self, hold: Hold, cost: Micro, usage: Usage, row: UsageRow) -> Settlement:
        return NOTHING

    def record(self, row: UsageRow) -> None:
        pass
