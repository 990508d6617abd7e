"""Counters and histograms of the data plane, as plain integers; `/metrics` sums the snapshots of all processes."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from hypereal.kit.usage import Usage
from hypereal.ledger import SpoolFigures

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histograms' buckets; one more is open."""
METERS_MAX = 5000


@dataclass(slots=True)
class Meter:
    """What went through one model at one provider. Times in seconds, credits in micro-credits.

    Not a struct of msgspec, though it crosses to the control process: setting a member of one costs ten times as much.
    """

    model: str
    provider: str
    calls: dict[str, int] = field(default_factory=dict)
    """By status class or error type: 'ok', 'rate_limit_error', 'client_gone', ..."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    charged: int = 0
    written_off: int = 0
    estimated: int = 0
    first_byte_buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    first_byte_s: float = 0.0
    duration_buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    duration_s: float = 0.0

    def count(self, outcome: str, first_byte_s: float, duration_s: float) -> None:
        """One call has ended."""
        calls = self.calls
        calls[outcome] = calls[outcome] + 1 if outcome in calls else 1
        self.first_byte_buckets[bisect_left(BOUNDS_S, first_byte_s)] += 1
        self.first_byte_s += first_byte_s
        self.duration_buckets[bisect_left(BOUNDS_S, duration_s)] += 1
        self.duration_s += duration_s

    def spend(self, usage: Usage, charged: int, written_off: int) -> None:
        """One call was charged."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.charged += charged
        if usage.cache_read_tokens:
            self.cache_read_tokens += usage.cache_read_tokens
        if usage.cache_write_tokens or usage.cache_write_1h_tokens:
            self.cache_write_tokens += usage.cache_write_tokens + usage.cache_write_1h_tokens
        if written_off:
            self.written_off += written_off
        if usage.is_estimated:
            self.estimated += 1


class Health(msgspec.Struct, kw_only=True):
    """A target's state, for `/metrics` and `hypereal status`."""

    state: str
    """'closed': calls go there; 'open': they do not; 'half_open': the next one is a probe."""
    faults: dict[str, int]
    """How often it failed, by the name of the fault."""
    last_fault: str = ""


class Snapshot(msgspec.Struct, kw_only=True):
    """A data process's figures as it writes them to its run folder once a second."""

    process: str
    pid: int
    at_unix_s: float
    connections: int
    calls_open: int
    body_bytes: int
    unsettled: int
    """Calls that the database does not know to be settled yet."""
    spool: SpoolFigures = SpoolFigures()
    conversations_dropped: int
    """That should have been kept and were lost."""
    bodies_dropped: int = 0
    """Calls whose bodies should have been kept and were lost."""
    traces_dropped: int = 0
    """Calls that the operator's tracing was not told of."""
    meters: list[Meter]
    targets: dict[str, Health] = {}
    """Those that were used so far: how they fare."""


class Meters:
    """All meters of a process, at most METERS_MAX; what is over them is counted together."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], Meter] = {}

    def __iter__(self) -> Iterator[Meter]:
        return iter(self._meters.values())

    def of(self, model: str, provider: str) -> Meter:
        """The meter of MODEL at PROVIDER."""
        meter = self._meters.get((model, provider))
        if meter is None:
            if len(self._meters) >= METERS_MAX:
                model, provider = "other", "other"
            meter = self._meters.setdefault((model, provider), Meter(model, provider))
        return meter
