"""How targets and keys fare: a circuit breaker for each target, and rests for the keys of a provider.

Per process: each learns by its own calls. By the coarse clock, so a rest is up to a second longer than it says.
"""

from typing import Final

from hypereal.gateway.faults import Fault
from hypereal.gateway.metrics import Health
from hypereal.kit.clock import coarse

FAILURES_MAX: Final = 5
"""In a row: then the breaker opens."""
OPEN_S: Final = 10.0
OPEN_S_MAX: Final = 120.0


class Breaker:
    """Opens after FAILURES_MAX failures in a row. Then, at growing intervals, one call at a time is let through."""

    __slots__ = ("_faults", "_last", "_open_s", "_open_until_s", "failures")

    def __init__(self) -> None:
        self.failures = 0
        """In a row. 0: the last call was answered, and there is nothing that `begin` and `succeeded` would do."""
        self._open_s = OPEN_S
        self._open_until_s = 0.0
        """0: closed."""
        self._faults: dict[str, int] = {}
        self._last = ""

    @property
    def lets_through(self) -> bool:
        """Whether a call may go there: it is closed, or it is time for a probe."""
        return not self._open_until_s or self._open_until_s <= coarse.monotonic_s

    def begin(self) -> None:
        """A call goes there. While the breaker is open it is the probe: others keep away until it has ended."""
        if self._open_until_s:
            self._open_until_s = coarse.monotonic_s + self._open_s

    def succeeded(self) -> None:
        """It answered: closed."""
        self.failures, self._open_until_s, self._open_s = 0, 0.0, OPEN_S

    def failed(self, fault: Fault) -> bool:
        """It did not. True where that opened the breaker, or kept it open for longer."""
        self._faults[fault.name] = self._faults.get(fault.name, 0) + 1
        self._last = fault.name
        self.failures += 1
        if self.failures < FAILURES_MAX:
            return False
        if self._open_until_s:
            self._open_s = min(self._open_s * 2, OPEN_S_MAX)
        self._open_until_s = coarse.monotonic_s + self._open_s
        return True

    @property
    def health(self) -> Health:
        """What an operator is shown."""
        state = "closed" if not self._open_until_s else "half_open" if self.lets_through else "open"
        return Health(state=state, faults=dict(self._faults), last_fault=self._last)


class KeyRing:
    """The keys of one provider, by number. One that was refused or is over its limit rests; the others go on."""

    __slots__ = ("_rests_until_s", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._rests_until_s = [0.0] * size

    def pick(self, first: int) -> int:
        """The number of a key that does not rest: FIRST or one after it. Where all rest, whichever is ready first."""
        rests = self._rests_until_s
        for step in range(self.size):
            number = (first + step) % self.size
            if rests[number] <= coarse.monotonic_s:
                return number
        return min(range(self.size), key=rests.__getitem__)

    def rest(self, number: int, seconds: float) -> bool:
        """Leave a key alone for a while. Whether another one is ready."""
        self._rests_until_s[number] = coarse.monotonic_s + seconds
        return min(self._rests_until_s) <= coarse.monotonic_s
