"""Budgets of keys: what the ledger tells the accounts. They are neighbours, and neither imports the other."""

import msgspec

from hypereal.kit.ids import KeyId
from hypereal.kit.money import Micro

BUDGET_REACHED = "key.budget_reached"
"""The kind of the job."""


class BudgetReached(msgspec.Struct, frozen=True, kw_only=True):
    """A key has used PERCENT of its limit for a month."""

    key_id: KeyId
    month: str
    """'2026-11', UTC"""
    percent: int
    """80 or 100"""
    used: Micro
    limit: Micro
