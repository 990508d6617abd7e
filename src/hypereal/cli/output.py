"""What commands write on stdout: one JSON object, or text and tables for people."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table

WIDTH_IN_PIPES = 500
"""Enough for any row: what reads a pipe wants whole values."""


def write_json(answer: Mapping[str, object]) -> None:
    """ANSWER as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


def write(*parts: RenderableType) -> None:
    """PARTS, one after another; in colour on a terminal only."""
    console = terminal()
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))


def tell_saved(told: Mapping[str, Any], files: Sequence[Path], *, as_json: bool) -> None:
    """Where what a server made was saved, and what it cost."""
    if as_json:
        write_json({**told, "files": [str(file) for file in files]})
        return
    for file in files:
        write(f"{file} is saved.")
    write(f"{told['creditsUsed']:g} credits.")


def terminal() -> Console:
    """Stdout for people. Nothing in a text is markup: names are written as they are."""
    width = None if sys.stdout.isatty() else WIDTH_IN_PIPES
    return Console(width=width, markup=False, highlight=False, emoji=False)


def table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """An empty table with COLUMNS; those in NUMBERS stand to the right."""
    empty = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        empty.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return empty
