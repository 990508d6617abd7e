"""The results as a table for the terminal, and as the page `docs/compatibility.md`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from tests.agents.installing import PINS, ROOT, version_of
from tests.agents.rows import ROWS
from tests.agents.running import Row

PAGE = ROOT / "docs" / "compatibility.md"
HEAD = ("client", "set up with", "base URL", "model", "asks in", "upstream is asked in", "result", "s")
SKIPPED = "skipped"
INTRO = """\
<!-- Written by `make e2e`. Change the rows in tests/agents, not this page. -->
# Compatibility

Real clients, installed from their packages, in an empty home and without a way to the internet. Each does a task of two
steps through the gateway: it writes a file with the tool that it has for that, then runs a command that copies the
file. The model is a script of the project's own, which answers in the vendor's format; the gateway is the real one. A
row has passed when

- both files are on disk and the client ended content,
- every step reached the upstream in the format that the row names, and no key of the caller with it,
- every call was paid from real usage, nothing is held any more, and the sums of the ledger agree.

`make e2e` runs all of it and writes this page; `make e2e E2E="-m bounded"` is the part that runs on every change. How
to set up a client by hand is in [Point a client at it](how-to/point-a-client.md).
"""


@dataclass(frozen=True)
class Result:
    """How one row went."""

    row: Row
    outcome: str
    """In a word, with the reason where there is one."""
    took_s: float | None


def result(row: Row, made: pytest.TestReport) -> Result:
    """What MADE says about ROW."""
    took_s = dict(made.user_properties).get("took_s")
    if made.skipped and hasattr(made, "wasxfail"):
        return Result(row, f"open: {made.wasxfail}", took_s)
    if made.skipped:
        return Result(row, SKIPPED, took_s)
    return Result(row, "passed" if made.passed else "FAILED", took_s)


def is_whole(results: Sequence[Result]) -> bool:
    """Whether every row of the table was run."""
    return {result.row.id for result in results if result.outcome != SKIPPED} == {row.id for row in ROWS}


def table(results: Sequence[Result]) -> str:
    """For the terminal: columns padded."""
    lines = [HEAD, *(_cells(result) for result in results)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEAD))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def page(results: Sequence[Result]) -> str:
    """The whole page."""
    versions = [(pin["title"], version_of(name), _packages(pin)) for name, pin in PINS.items()]
    today = datetime.now(UTC).date().isoformat()
    parts = [
        INTRO,
        f"## Results of {today}\n\n{_markdown(HEAD, [_cells(result) for result in results])}",
        f"## Versions\n\n{_markdown(('client', 'version', 'packages'), versions)}",
    ]
    return "\n".join(parts)


def _packages(pin: dict[str, list[str]]) -> str:
    return ", ".join(f"`{package}`" for package in pin.get("npm", []) + pin.get("pypi", []))


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    took = "" if result.took_s is None else f"{result.took_s:.1f}"
    return (
        row.title,
        row.how,
        row.base or "/",
        row.model or "its own choice",
        row.dialect,
        row.asked_in,
        result.outcome,
        took,
    )


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
