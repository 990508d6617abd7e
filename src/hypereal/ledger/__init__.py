"""Wallets, holds, leases, entries and usage rows. The protocol is docs/money.md.

A data process has one `Ledger`: `hold` before a call costs money, `settle` once after it. Operators have `wallets`.
"""

from hypereal.ledger.holds import AlreadySettled, Hold, Payer, Settlement, Ticket
from hypereal.ledger.ledger import Ledger
from hypereal.ledger.rows import Attempt, UsageRow
from hypereal.ledger.wallets import (
    Balance,
    Credit,
    Difference,
    EntryKind,
    add_credits,
    audit,
    balance,
    close_all,
    close_dead,
    find_answer,
)

__all__ = [
    "AlreadySettled",
    "Attempt",
    "Balance",
    "Credit",
    "Difference",
    "EntryKind",
    "Hold",
    "Ledger",
    "Payer",
    "Settlement",
    "Ticket",
    "UsageRow",
    "add_credits",
    "audit",
    "balance",
    "close_all",
    "close_dead",
    "find_answer",
]
