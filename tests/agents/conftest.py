"""What runs of real clients share: their installs, an upstream that plays the agent's model, the table of results."""

from collections.abc import Iterator

import pytest
from tests.agents import report
from tests.agents.installing import PINS, CannotInstall, Install, install, version_of
from tests.agents.running import Row
from tests.support import scripted_agent
from tests.support.background import Background
from tests.support.upstream import Upstream

INSTALLS = pytest.StashKey[dict[str, Install | CannotInstall]]()
RESULTS = pytest.StashKey[list[report.Result]]()


@pytest.fixture(scope="session")
def scripted_upstream(background: Background) -> Iterator[Upstream]:
    """The upstream of the server: it gives agents their next step."""
    running = Upstream(background, answers=scripted_agent.answer)
    yield running
    running.close()


@pytest.fixture
def installed(row: Row, request: pytest.FixtureRequest) -> Install:
    """The client of ROW; without it the row is skipped."""
    found = request.config.stash[INSTALLS][row.client]
    if isinstance(found, CannotInstall):
        pytest.skip(f"cannot be installed here: {found}")
    return found


def pytest_configure(config: pytest.Config) -> None:
    config.stash[INSTALLS] = {}
    config.stash[RESULTS] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Install what the chosen rows need, before the clock of any test runs."""
    if session.config.option.collectonly:
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    rows = [row for item in session.items if (row := _row_of(item)) is not None]
    for name in dict.fromkeys(row.client for row in rows):
        told = f"{PINS[name]['title']} {version_of(name)}"
        try:
            found: Install | CannotInstall = install(name)
        except CannotInstall as why:
            found = why
            terminal.write_line(f"{told}: skipped, it cannot be installed here: {why}")
        else:
            terminal.write_line(f"{told}: " + (f"installed in {found.took_s:.0f} s" if found.took_s else "installed"))
        session.config.stash[INSTALLS][name] = found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    made = yield
    row = _row_of(item)
    if row is not None and (made.when == "call" or not made.passed):
        item.config.stash[RESULTS].append(report.result(row, made))
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table; write the page where every row was run."""
    results = config.stash[RESULTS]
    if results:
        terminalreporter.write_line("\n" + report.table(results))
    if report.is_whole(results):
        report.PAGE.write_text(report.page(results), "utf-8")


def _row_of(item: pytest.Item) -> Row | None:
    row = item.callspec.params.get("row") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return row if isinstance(row, Row) else None
