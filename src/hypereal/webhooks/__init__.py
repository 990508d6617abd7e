"""Webhooks: an account's events, told to its endpoints and to URLs of single requests, signed as Standard Webhooks are.

One `Webhooks` a process. `emit` in the transaction that makes an event true, then `jobs.announce`; a capability below
this one enqueues a job (`kit/events.py`) instead. Start at `webhooks.py`; `worker.py` delivers.
"""

from hypereal.webhooks.events import TYPES, Event
from hypereal.webhooks.webhooks import Delivery, Webhooks, url_in

__all__ = ["TYPES", "Delivery", "Event", "Webhooks", "url_in"]
