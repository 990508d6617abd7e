"""Structured logs on stderr: one JSON object a line, or coloured text on a terminal.

Secrets are struck out by name and by shape.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = re.compile(r"authorization|api[-_]?key|cookie|password|secret|token$", re.I)
_SECRET_SHAPES = re.compile(
    r"ck_[0-9a-f]{8,64}|(?<=[?&]key=)[^&\s\"']+|sk-[A-Za-z0-9_-]{8,}|(?<=://)[^/@\s]+:[^/@\s]+(?=@)"
)


def configure(*, process: str, level: str = "info", json: bool | None = None) -> None:
    """Set logging up for this process; PROCESS ('data-0', 'control', ...) stands in every line."""
    as_json = not sys.stderr.isatty() if json is None else json
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strike out values of secret names, and anything that looks like a key wherever it stands."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = "[redacted]" if _SECRET_NAMES.search(name) else _SECRET_SHAPES.sub("[redacted]", value)
        elif isinstance(value, bytes) and _SECRET_NAMES.search(name):
            event[name] = "[redacted]"
    return event


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger; NAME is the capability it speaks for."""
    return structlog.get_logger(capability=name)  # type: ignore[no-any-return]
