"""Traces for an operator: data processes tell of each call, and the control process makes spans of it and exports them.

`exporter.py` needs the packages of the extra `otel`, so it is imported only where traces are wanted.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hypereal.kit import log
from hypereal.kit.settings import Settings
from hypereal.serve.faults import CannotServe

if TYPE_CHECKING:
    from hypereal.serve.tracing.exporter import Exporter

VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
INSTALL = "pip install 'hypereal[otel]'"


def is_wanted(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether calls are traced. Raises CannotServe where the settings want it and it cannot be.

    Variables may be there for other programs: what they want and cannot have is only logged.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    is_set = settings.traces.endpoint is not None
    if not is_set and not any(environ.get(name) for name in VARIABLES):
        return False
    if is_installed():
        return True
    if is_set:
        raise CannotServe(f"[traces] endpoint is set, and the packages for it are not installed: {INSTALL}")
    log.get("traces").warning("no traces: the packages for them are not installed", install=INSTALL)
    return False


def exporter(socket_path: str, settings: Settings) -> "Exporter | None":
    """What exports the calls told of at SOCKET_PATH; None where that is ''."""
    if not socket_path:
        return None
    made: Exporter = import_module("hypereal.serve.tracing.exporter").Exporter(socket_path, settings.traces.endpoint)
    return made


def is_installed() -> bool:
    """Whether the packages of the extra `otel` are there."""
    try:
        return all(find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False
