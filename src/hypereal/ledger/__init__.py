"""Wallets, holds, leases, entries and usage rows. The protocol is docs/money.md.

A data process has one `Ledger`: `hold` before a call costs money, `settle` once after it. A job holds and settles in
transactions of its own (`job_holds.py`). Operators have `wallets`.
"""

from hypereal.ledger.figures import SpoolFigures
from hypereal.ledger.holds import AlreadySettled, Hold, Payer, Settlement, Ticket
from hypereal.ledger.job_holds import Lacking, hold_for_job, log_call, settle_job, with_recall
from hypereal.ledger.ledger import Ledger, Terms
from hypereal.ledger.reclaim import close_dead
from hypereal.ledger.request_log import DAYS_MAX, Profit, Retention, profit
from hypereal.ledger.request_log.bodies import PART_BYTES_MAX, Bodies, Receiver, Recorded, frame_of
from hypereal.ledger.rows import Asked, Asker, Attempt, Details, Stem, UsageRow
from hypereal.ledger.wallets import (
    Balance,
    Credit,
    Difference,
    EntryKind,
    add_credits,
    audit,
    balance,
    charge,
    close_all,
    find_answer,
    spent_this_month,
)

__all__ = [
    "DAYS_MAX",
    "PART_BYTES_MAX",
    "AlreadySettled",
    "Asked",
    "Asker",
    "Attempt",
    "Balance",
    "Bodies",
    "Credit",
    "Details",
    "Difference",
    "EntryKind",
    "Hold",
    "Lacking",
    "Ledger",
    "Payer",
    "Profit",
    "Receiver",
    "Recorded",
    "Retention",
    "Settlement",
    "SpoolFigures",
    "Stem",
    "Terms",
    "Ticket",
    "UsageRow",
    "add_credits",
    "audit",
    "balance",
    "charge",
    "close_all",
    "close_dead",
    "find_answer",
    "frame_of",
    "hold_for_job",
    "log_call",
    "profit",
    "settle_job",
    "spent_this_month",
    "with_recall",
]
