"""The data plane: the life of one call is `pipeline.py`, top to bottom."""

from hypereal.gateway.answers import FINAL_STATUSES
from hypereal.gateway.metrics import BOUNDS_S, Health, Meter, Snapshot
from hypereal.gateway.plane import Plane
from hypereal.gateway.recording import Recording
from hypereal.gateway.routing import Pools, Routing
from hypereal.gateway.traces import TracedAttempt, TracedCall, Traces, read_datagram

__all__ = [
    "BOUNDS_S",
    "FINAL_STATUSES",
    "Health",
    "Meter",
    "Plane",
    "Pools",
    "Recording",
    "Routing",
    "Snapshot",
    "TracedAttempt",
    "TracedCall",
    "Traces",
    "read_datagram",
]
