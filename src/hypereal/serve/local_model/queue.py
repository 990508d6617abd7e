"""Who is served by the local model, one at a time, and who waits."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypereal.kit.errors import RateLimited

WAITING_MAX = 4
COUNTING_MAX = 64
RETRY_AFTER_S = 5


class Queue:
    """At most one call is served and four wait; the next is refused."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        """Held by who is served."""
        self._places = 0
        self._counting = 0
        self._used_at_s = time.monotonic()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue for the block; `turn` is taken inside. Raises RateLimited where four wait already."""
        if self._places > WAITING_MAX:
            raise RateLimited(f"The local model is busy and {WAITING_MAX} calls wait for it already.", RETRY_AFTER_S)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1
            self._used_at_s = time.monotonic()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count tokens beside whoever is served: agents ask for dozens at a time. Raises RateLimited over 64."""
        if self._counting >= COUNTING_MAX:
            raise RateLimited(f"The local model is counting tokens for {COUNTING_MAX} calls already.", RETRY_AFTER_S)
        self._counting += 1
        try:
            yield
        finally:
            self._counting -= 1
            self._used_at_s = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since anybody was served; 0 while somebody is."""
        return 0.0 if self._places or self._counting else time.monotonic() - self._used_at_s
