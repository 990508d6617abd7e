"""Real clients do a task of two steps through the real gateway: write a file, run a command. `make e2e` runs this."""

from pathlib import Path
from uuid import uuid4

import pytest
from tests.agents.installing import Install
from tests.agents.rows import AGENTS_ARE_BRIDGED, ROWS
from tests.agents.running import RUN_S_MAX, Outcome, Row, Run, carry_out
from tests.support import scripted_agent
from tests.support.scripted_agent import Task
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Upstream

from hypereal.kit.money import MICRO_PER_CREDIT

STEPS = 3
"""Calls that the task takes at least: two with tools, one to end."""
CREDITS = 100_000
OUTPUT_SHOWN_MAX = 6_000
WAITS = "waits for a bridge that carries tools"


def parameter(row: Row) -> object:
    """ROW with its marks."""
    marks = [pytest.mark.bounded] if row.is_bounded else []
    if row.upstream is not None and not AGENTS_ARE_BRIDGED:
        marks.append(pytest.mark.xfail(reason=WAITS, raises=AssertionError, strict=True))
    return pytest.param(row, id=row.id, marks=marks)


@pytest.mark.timeout(2 * RUN_S_MAX)
@pytest.mark.parametrize("row", [parameter(row) for row in ROWS])
def test_a_client_does_a_task_of_two_steps(
    row: Row, installed: Install, server: Server, upstream: Upstream, tmp_path: Path, record_property
) -> None:
    caller = server.caller(CREDITS)
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    task = Task.within(folder, f"{MARK}-{uuid4().hex}")
    run = Run(installed, server.url + row.base, row.model, caller.secret, task.prompt, home, folder)
    outcome = carry_out(row.start(run), run)
    record_property("took_s", outcome.took_s)
    assert_task_is_done(task, outcome, upstream)
    assert_upstream_was_asked_as_meant(row, upstream, caller)
    assert_every_call_is_paid(server, caller, upstream)


def assert_task_is_done(task: Task, outcome: Outcome, upstream: Upstream) -> None:
    """Both files are there, and the client is content."""
    asked = "\n".join(recorded.head.splitlines()[0].decode() for recorded in upstream.requests)
    story = f"the upstream was asked:\n{asked}\n\nthe client printed:\n{outcome.output[-OUTPUT_SHOWN_MAX:]}"
    for path in (Path(task.file), Path(task.copy)):
        assert path.exists(), f"{path.name} is not there; {story}"
        assert path.read_text("utf-8").strip() == task.word, story
    assert outcome.code == 0, story


def assert_upstream_was_asked_as_meant(row: Row, upstream: Upstream, caller: Caller) -> None:
    """Each step came in the row's dialect, and never the caller's key."""
    talks = [scripted_agent.read(asked) for asked in upstream.requests]
    dialects = [talk.dialect for talk in talks if talk is not None and talk.is_step]
    assert len(dialects) >= STEPS
    assert set(dialects) == {row.asked_in}
    assert not [asked for asked in upstream.requests if caller.secret.encode() in asked.head + asked.body]


def assert_every_call_is_paid(server: Server, caller: Caller, upstream: Upstream) -> None:
    """A usage row for each, nothing estimated or written off, nothing held any more; the sums agree."""
    calls = sum(scripted_agent.read(asked) is not None for asked in upstream.requests)
    query = "SELECT * FROM usage WHERE owner_id = $1 AND attempts > 0"
    server.wait_for(lambda: len(server.query(query, caller.owner_id)) >= calls, f"{calls} usage rows")
    rows = server.query(query, caller.owner_id)
    assert [(row["status"], row["is_estimated"], row["written_off"]) for row in rows] == [(200, False, 0)] * calls
    assert all(row["charged"] > 0 for row in rows)
    assert server.is_idle(caller)
    assert server.balance(caller).ledger == CREDITS * MICRO_PER_CREDIT - sum(row["charged"] for row in rows)
    assert server.audit() == []
