"""Drivers of the vendors that make images, video and sound. Start at `driver.py`.

A facade of its own, below `providers`: the control process loads it, a data process never does.
"""

from hypereal.providers.drivers.callbacks import Call, Callback, Secret
from hypereal.providers.drivers.driver import Driver, Route, Takes
from hypereal.providers.drivers.outcome import (
    Accepted,
    Answer,
    Facts,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Outcome,
    Output,
    Pushed,
    Running,
    Segment,
    Task,
    Unclear,
)
from hypereal.providers.drivers.registry import DRIVERS
from hypereal.providers.drivers.requests import Request, Signed
from hypereal.providers.drivers.work import Kind, Media, Work

__all__ = [
    "DRIVERS",
    "Accepted",
    "Answer",
    "Call",
    "Callback",
    "Driver",
    "Facts",
    "Failed",
    "Fault",
    "FaultKind",
    "Finished",
    "Kind",
    "Media",
    "Outcome",
    "Output",
    "Pushed",
    "Request",
    "Route",
    "Running",
    "Secret",
    "Segment",
    "Signed",
    "Takes",
    "Task",
    "Unclear",
    "Work",
]
