"""The request log: a row a call in a table a day, sums by the hour, and what owners and operators read of them."""

from hypereal.ledger.request_log.reading import DAYS_MAX, Profit, profit
from hypereal.ledger.request_log.upkeep import Retention, fold, tend

__all__ = ["DAYS_MAX", "Profit", "Retention", "fold", "profit", "tend"]
