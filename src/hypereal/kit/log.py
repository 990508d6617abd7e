"""Structured logs on stderr: one JSON object a line, or coloured text on a terminal.

What libraries log, and the traceback that ends a process, come in the same form. A line about a call has its
`request_id`. Secrets are struck out by name and by shape.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal

import structlog

_SECRET_NAMES = re.compile(r"authorization|api[-_]?key|cookie|password|secret|token$", re.I)
_SECRET_SHAPES = re.compile(
    r"ck_[0-9a-f]{8,64}|(?<=[?&]key=)[^&\s\"']+|sk-[A-Za-z0-9_-]{8,}|(?<=://)[^/@\s]+:[^/@\s]+(?=@)"
)


Format = Literal["auto", "console", "json"]
"""`auto`: console on a terminal, else JSON."""


def configure(*, process: str, level: str = "info", format: Format = "auto") -> None:
    """Set logging up for this process; PROCESS ('data-0', 'control', ...) stands in every line."""
    is_terminal = sys.stderr.isatty()
    as_json = not is_terminal if format == "auto" else format == "json"
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=is_terminal)
    )
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*steps, render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    _take_in_libraries(steps, render)
    if as_json:
        sys.excepthook = _crashed


def _take_in_libraries(steps: list[structlog.typing.Processor], render: structlog.typing.Processor) -> None:
    """What libraries log by the standard module takes the same STEPS: warnings, and what is worse."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *steps],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _crashed(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """The last word of a process."""
    get("process").critical("the process ends by an error", exc_info=(kind, error, at))


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
