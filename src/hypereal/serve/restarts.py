"""When to start a crashed process again: after 1, 2, 4 .. 60 seconds; five crashes in five minutes are enough."""

import time
from collections import deque
from collections.abc import Callable

DELAY_S_FIRST = 1.0
DELAY_S_MAX = 60.0
CRASHES_MAX = 5
WINDOW_S = 300.0


class Restarts:
    """The crashes of one process. CLOCK gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._crashes: deque[float] = deque(maxlen=CRASHES_MAX)
        self._delay_s = DELAY_S_FIRST

    def crashed(self) -> float | None:
        """Count a crash. Seconds to wait before the next start; None: it crashed too often, leave it."""
        now = self._clock()
        if self._crashes and now - self._crashes[-1] > WINDOW_S:
            self._crashes.clear()
            self._delay_s = DELAY_S_FIRST
        self._crashes.append(now)
        if len(self._crashes) == CRASHES_MAX and now - self._crashes[0] <= WINDOW_S:
            return None
        delay_s, self._delay_s = self._delay_s, min(self._delay_s * 2, DELAY_S_MAX)
        return delay_s
