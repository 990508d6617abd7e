"""Logs: one object a line whoever logs, coloured text only where that is wanted, and no secret in either."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hypereal.kit import log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's own: put back what others had."""
    handlers, level, hook = logging.root.handlers[:], logging.root.level, sys.excepthook
    yield
    logging.root.handlers[:], logging.root.level, sys.excepthook = handlers, level, hook
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_an_object_that_names_process_capability_and_call(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(process="data-0")
    log.get("gateway").warning("target failed", request_id="req_1")
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "process": "data-0",
        "capability": "gateway",
        "level": "warning",
        "event": "target failed",
        "request_id": "req_1",
    }


def test_a_traceback_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(process="data-0")
    try:
        raise ValueError("key is sk-0123456789abcdef")
    except ValueError:
        log.get("gateway").exception("a call failed", request_id="req_1")
    (line,) = lines(capsys)
    assert "ValueError: key is [redacted]" in line["exception"]


def test_libraries_and_the_last_word_of_a_process_come_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(process="control", level="error")
    logging.getLogger("asyncio").warning("Task took %s at postgresql://me:secret@db/x", "1 s")
    logging.getLogger("uvicorn").info("hello")
    try:
        raise RuntimeError("no")
    except RuntimeError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    library, last = lines(capsys)
    assert (library["event"], library["logger"]) == ("Task took 1 s at postgresql://[redacted]@db/x", "asyncio")
    assert (last["level"], last["event"]) == ("critical", "the process ends by an error")
    assert "RuntimeError: no" in last["exception"]
    assert {library["process"], last["process"]} == {"control"}


def test_console_is_text_and_colourless_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    hook = sys.excepthook
    log.configure(process="data-0", format="console")
    log.get("gateway").warning("target failed", request_id="req_1", api_key="sk-0123456789")
    logging.getLogger("asyncio").warning("slow")
    said = capsys.readouterr().err
    assert "request_id=req_1" in said
    assert "api_key=[redacted]" in said
    assert "slow" in said
    assert "\x1b" not in said
    assert "{" not in said
    assert sys.excepthook is hook


def test_json_is_json_on_a_terminal_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log.configure(process="data-0", format="json")
    log.get("gateway").warning("target failed")
    assert lines(capsys)[0]["event"] == "target failed"
    log.configure(process="data-0")
    log.get("gateway").warning("target failed")
    assert "\x1b[" in capsys.readouterr().err
