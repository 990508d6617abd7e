"""Time. `coarse` is set once a second by a process's sweep: for windows and breakers, never for latencies."""

import time
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from typing import Final


class CoarseClock:
    """Cheap readings of now, at most a second old while a sweep runs."""

    __slots__ = ("http_date", "monotonic_s", "unix_s")

    def __init__(self) -> None:
        self.monotonic_s = 0.0
        self.unix_s = 0.0
        self.http_date = ""
        """As the `date` field of an answer has it."""
        self.tick()

    def tick(self) -> None:
        """Read the real clocks. Called by the sweep."""
        self.monotonic_s = time.monotonic()
        self.unix_s = time.time()
        self.http_date = formatdate(self.unix_s, usegmt=True)


coarse: Final = CoarseClock()

_BOOTTIME: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime_s() -> float:
    """Seconds since boot, those asleep included (where the system counts them): for deadlines that fence."""
    return time.clock_gettime(_BOOTTIME)


def boot_id() -> str:
    """What tells this boot of this machine from another; the empty text where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


@lru_cache(maxsize=64)
def _second_text(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))


def utc_text(unix_s: float) -> str:
    """ISO 8601 in UTC, cut to the microsecond. Cheap for many moments of few seconds."""
    second = int(unix_s)
    return "%s.%06dZ" % (_second_text(second), (unix_s - second) * 1e6)  # noqa: UP031  # half of an f-string's time


def month_start(at: datetime) -> datetime:
    """The first moment of AT's calendar month in UTC."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month_start(at: datetime) -> datetime:
    """The first moment of the calendar month after AT's, in UTC."""
    start = month_start(at)
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def month_end(month: str) -> datetime:
    """The first moment after MONTH ('2026-11'), in UTC."""
    return next_month_start(datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC))
