"""What capabilities declare: handlers by kind of job, schedules, and the outcomes that a handler can come to."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, JobId
from hypereal.kit.settings import Settings


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed job: nobody else has it while TOKEN is the row's."""

    id: JobId
    kind: str
    owner_id: AccountId
    payload: Any
    """What the handler's `payload` says; None for a schedule's."""
    token: int
    attempts: int
    """This one counted, since the job last got on."""
    planned_at: datetime
    """When it was to be run."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler works with."""

    database: Database
    settings: Settings


class Done(msgspec.Struct, frozen=True, gc=False):
    """The job is finished."""


class Again(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It got on, and is to be run again: in AFTER_S seconds, or at AT. No failure: attempts count from 0."""

    after_s: float = 0.0
    at: datetime | None = None
    reason: str
    """What it waits for, told to its owner."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It failed, and may not the next time. As does what a handler raises."""

    error: str
    after_s: float | None = None
    """Instead of the handler's growing pause."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """It failed for good: a dead letter, kept for a person to look at."""

    error: str


class Written(msgspec.Struct, frozen=True, gc=False):
    """The handler wrote the outcome in a transaction of its own (`write`)."""


WRITTEN: Final = Written()
Outcome = Done | Again | Retry | Failed | Written


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of job is run. It may be run twice where a worker dies: what it does outside must bear that."""

    kind: str
    """'capability.verb'"""
    payload: type[msgspec.Struct] | None
    run: Callable[[Context, Job], Awaitable[Outcome]]
    concurrency_max: int = 8
    """At once in one process."""
    attempts_max: int = 12
    """Failures in a row, then it is a dead letter. By default that takes some two hours."""
    retry_s: float = 2.0
    """The pause after the first failure; it doubles, up to an hour, with jitter."""
    timeout_s: float = 300.0
    """Then it is stopped, which counts as a failure."""


class Every(msgspec.Struct, frozen=True):
    """Every SECONDS, counted from the end of the last run."""

    seconds: float

    def next(self, planned_at: datetime, now: datetime) -> datetime:
        """The time of the next run."""
        return now + timedelta(seconds=self.seconds)


class Daily(msgspec.Struct, frozen=True):
    """Every day at HOUR, UTC."""

    hour: int

    def next(self, planned_at: datetime, now: datetime) -> datetime:
        """The time of the next run: the first such hour after now, and after the one that was planned for."""
        after = max(planned_at, now)
        today = after.replace(hour=self.hour, minute=0, second=0, microsecond=0)
        return today if today > after else today + timedelta(days=1)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What is run again and again, once over all processes: one job that never ends. A failure is tried again, then
    left until the next time."""

    kind: str
    when: Every | Daily
    run: Callable[[Context], Awaitable[None]]
    timeout_s: float = 300.0
