"""The server with money switched off, to see what money costs. It exists for the benchmark only: no setting does this.

`python benchmarks/without_money.py serve …` is `hypereal serve …`, but its data processes hold, settle and log nothing.
"""

import sys
from typing import Any

from hypereal.cli import main
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import Hold, Ledger, Payer, Settlement, UsageRow
from hypereal.serve import data, supervisor

NOTHING = Settlement(Micro(0), Micro(0))


class FreeLedger(Ledger):
    """Gives every hold at once, out of nothing, and forgets it."""

    def hold_now(self, payer: Payer, amount: Micro) -> Hold | None:
        return Hold((), 0)

    def settle(self, hold: Hold, cost: Micro, usage: Usage, row: UsageRow) -> Settlement:
        return NOTHING

    def record(self, row: UsageRow) -> None:
        """Nothing is logged."""


def serve_with(data_process: str) -> None:
    """`hypereal`, whose data processes are that file."""
    standard = supervisor.Wiring

    def wiring(**given: Any) -> supervisor.Wiring:
        return standard(**given, commands=supervisor.Commands(data=("-O", data_process)))

    supervisor.Wiring = wiring  # type: ignore[assignment, misc]
    main()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_with(__file__)
    else:
        data.main(FreeLedger)
