"""Rows of the request log as CSV (RFC 4180) that a spreadsheet may open: no cell of a caller's is a formula there."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from hypereal.kit.money import credits

COLUMNS = (
    "started_at",
    "request_id",
    "endpoint",
    "model",
    "provider",
    "status",
    "error_type",
    "stream",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "web_searches",
    "estimated",
    "credits",
    "cache_saved_credits",
    "latency_ms",
    "first_byte_ms",
    "attempts",
    "key_id",
    "app",
    "user",
    "metadata",
    "client",
    "price_version",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell that a spreadsheet would compute begins."""


def head() -> bytes:
    """The first line."""
    return _lines([COLUMNS])


def lines(rows: Iterable[Any]) -> bytes:
    """A line for each of ROWS."""
    return _lines(map(_cells, rows))


def _cells(row: Any) -> list[object]:
    return [
        row["started_at"].isoformat(),
        _text(row["request_id"]),
        _text(row["endpoint"]),
        _text(row["model"]),
        _text(row["provider"]),
        row["status"],
        _text(row["error_type"]),
        _flag(row["is_stream"]),
        row["input_tokens"],
        row["cache_read_tokens"],
        row["cache_write_tokens"],
        row["output_tokens"],
        row["reasoning_tokens"],
        row["web_searches"],
        _flag(row["is_estimated"]),
        credits(row["charged"]),
        credits(row["cache_saved"] or 0),
        row["duration_ms"],
        row["first_byte_ms"],
        row["attempts"],
        _text(row["key_id"]),
        _text(row["app"]),
        _text(row["end_user"]),
        _text(row["metadata"]),
        _text(row["client"]),
        _text(row["price_version"]),
    ]


def _text(text: str | None) -> str:
    """TEXT with an apostrophe before it where it would be a formula: that is how spreadsheets mark a text."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(FORMULA) else text


def _flag(is_so: bool) -> str:
    return "true" if is_so else "false"


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()
