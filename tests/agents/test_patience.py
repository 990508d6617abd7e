"""Agents wait as long as the gateway gives signs of life: a stream that thinks for ten minutes without a word.

`make e2e E2E="-m slow"` runs it; all four at once, since each has to be waited for.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from tests.agents.installing import CannotInstall, Install, install
from tests.agents.rows import ROWS
from tests.agents.running import Row, Run, carry_out
from tests.agents.test_agents import CREDITS, assert_task_is_done
from tests.support import scripted_agent
from tests.support.scripted_agent import Task
from tests.support.server import MARK, Server
from tests.support.upstream import Recorded, Script, Upstream

SILENT_S = 600
"""In one stream, after it has begun and before it says anything."""
RUN_S_MAX = 2 * SILENT_S
ANNOUNCED = 2
"""The head and the first event: what comes before the silence."""
CLIENTS = ("claude-code", "codex", "gemini-cli", "opencode")


def rows() -> list[Row]:
    """One row a client, native to the upstream."""
    native = [row for row in ROWS if row.upstream is None]
    return [next(row for row in native if row.client == client) for client in CLIENTS]


@pytest.mark.slow
@pytest.mark.timeout(RUN_S_MAX + 120)
def test_four_agents_wait_through_ten_minutes_of_silent_thinking(
    server: Server, upstream: Upstream, tmp_path: Path
) -> None:
    installs = {row.client: install(row.client) for row in rows()}
    if missing := [name for name, found in installs.items() if isinstance(found, CannotInstall)]:
        pytest.skip(f"cannot be installed here: {', '.join(missing)}")
    upstream.answer_all(lambda asked: _slowly(upstream, asked))
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        running = [pool.submit(_carry_out, row, installs[row.client], server, tmp_path / row.client) for row in rows()]
        for row, run in zip(rows(), running, strict=True):
            task, caller, outcome = run.result()
            assert outcome.took_s > SILENT_S, row.client
            assert_task_is_done(task, outcome, upstream)
            sent = [asked for asked in upstream.requests if task.word.encode() in asked.body and asked.wants_stream]
            steps = [talk for asked in sent if (talk := scripted_agent.read(asked)) is not None and talk.is_step]
            assert [talk.results for talk in steps] == [0, 1, 2], f"{row.client} asked again while it waited"
            assert all(bill["charged"] > 0 for bill in server.rows_of(caller, len(steps)))
    assert server.audit() == []


def _carry_out(row: Row, installed: object, server: Server, folder: Path):
    assert isinstance(installed, Install)
    caller = server.caller(CREDITS)
    for made in (folder / "home", folder / "work"):
        made.mkdir(parents=True)
    task = Task.within(folder / "work", f"{MARK}-{uuid4().hex}")
    run = Run(installed, server.url + row.base, row.model, caller.secret, task.prompt, folder / "home", folder / "work")
    return task, caller, carry_out(row.start(run), run, RUN_S_MAX)


def _slowly(upstream: Upstream, asked: Recorded) -> Script:
    """The agent's step; the second one thinks for SILENT_S after it has announced itself."""
    script = list(scripted_agent.answer(asked))
    talk = scripted_agent.read(asked)
    if talk is None or not talk.is_step or talk.results != 1 or not asked.wants_stream:
        return script
    gate = upstream.gate()
    timer = threading.Timer(SILENT_S, gate.open)
    timer.daemon = True
    timer.start()
    return [*script[:ANNOUNCED], gate, *script[ANNOUNCED:]]
