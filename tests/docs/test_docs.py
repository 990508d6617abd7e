"""The documentation is true: what it tells people to run runs, what it names is there, what is generated is current.

A fenced block marked `run` is run: `sh` and `python` as they stand, `toml` by adding it to the server's settings. The
blocks of a page are one terminal session beside a server without provider keys.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.support.background import Background
from tests.support.server import UPSTREAM_KEY, Server, assert_ended_well
from tests.support.upstream import Upstream

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(sh|python|toml) run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?:\]\(|src=\")(?!https?:|#)([^)#\"]+)")
FILE = re.compile(r"`(\w[\w./-]*/[\w.-]+\.(?:py|toml|sh|txt|svg))`")
TEST = re.compile(r"`(test_\w+)`")
ADDRESS = "http://127.0.0.1:8787"
VENDOR = "https://api.acme.example"
PAGE_S_MAX = 100
CURLRC = "fail-with-body\nmax-time = 60\nretry = 10\nretry-delay = 1\nretry-all-errors\n"
"""Refusals fail a page; one right after a change of the settings may come from before it."""
AS_SHELL = {
    "sh": "{code}",
    "python": "python - <<'END_OF_BLOCK'\n{code}END_OF_BLOCK\n",
    "toml": "cat >> hypereal.toml <<'END_OF_BLOCK'\n{code}END_OF_BLOCK\n",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """(language, code) of what PAGE says to run."""
    return BLOCK.findall(page.read_text("utf-8"))


@pytest.fixture(scope="module")
def own_server(background: Background, scripted_upstream: Upstream) -> Iterator[Server]:
    """One that pages may change the settings of."""
    running = Server(background, {"ACME_API_KEY": UPSTREAM_KEY, "HYPEREAL_OUTBOUND__ALLOW": "127.0.0.1"})
    commands = running.folder / "bin"
    commands.mkdir()
    for name, options in (("hypereal", "-m hypereal"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {options} "$@"\n', "utf-8")
        (commands / name).chmod(0o755)
    (running.folder / ".curlrc").write_text(CURLRC, "utf-8")
    yield running
    assert_ended_well(running)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_what_a_page_says_to_run_runs(page: Path, own_server: Server, scripted_upstream: Upstream) -> None:
    session = "".join(AS_SHELL[language].format(code=code) for language, code in blocks_of(page))
    session = session.replace(ADDRESS, own_server.url).replace(VENDOR, scripted_upstream.url)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HYPEREAL_")}
    environ = {
        **kept,
        "PATH": f"{own_server.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOME": str(own_server.folder),
        "ACME_API_KEY": UPSTREAM_KEY,
        "HYPEREAL_DATA_DIR": str(own_server.data_dir),
        "HYPEREAL_API_KEY": own_server.caller().secret,
        "HYPEREAL_BASE_URL": own_server.url,
        "HYPEREAL_ACCOUNT_KEY": own_server.caller(scopes=frozenset({"inference", "account"})).secret,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", session],
        cwd=own_server.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PAGE_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_the_first_steps_are_run() -> None:
    languages = [language for language, _ in blocks_of(ROOT / "README.md")]
    assert languages == ["sh", "python", "python", "sh"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    files = [
        name for name in FILE.findall(text) if not any((at / name).exists() for at in (ROOT, ROOT / "src/hypereal"))
    ]
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    unknown = [name for name in TEST.findall(text) if f"def {name}(" not in tests]
    assert (links, files, unknown) == ([], [], [])


def test_the_reference_is_what_the_source_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=PAGE_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_picture_is_well_formed_and_says_what_it_shows() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "picture.svg").getroot()
    assert picture.find("{http://www.w3.org/2000/svg}title") is not None
    assert picture.find("{http://www.w3.org/2000/svg}desc") is not None
