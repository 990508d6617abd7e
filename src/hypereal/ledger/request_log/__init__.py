"""The request log: a row a call in a table a day, sums by the hour, and what owners and operators read of them."""

from hypereal.ledger.request_log.upkeep import Retention, fold, keep_log, tend

__all__ = ["Retention", "fold", "keep_log", "tend"]
