"""Limits with teeth: what no linter checks about the layout of the source. A failure says what to do about it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "hypereal"
FILES = sorted(SOURCE.rglob("*.py"))
CAPABILITIES = sorted(
    path.name for path in SOURCE.iterdir() if path.is_dir() and path.name not in ("__pycache__", "kit", "migrations")
)

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PIPELINE_IMPORTS_MAX = 12
FACADES_BELOW = {"providers.drivers"}
"""Facades of their own, which a data process must not load with the capability above them."""
BANNED_NAMES = {"utils", "helpers", "common", "core", "base", "manager", "handler", "service", "data", "info"}
BLIND_EXCEPTS = {"gateway/pipeline.py": 1, "jobs/engine.py": 1}
"""The request edge and the job loop; the reconcile loop comes with its capability."""
HEAVY = (
    "starlette",
    "uvicorn",
    "jinja2",
    "lxml",
    "stripe",
    "av",
    "numpy",
    "obstore",
    "sqlalchemy",
    "alembic",
    "prometheus_client",
    "opentelemetry",
)
SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\b", re.S)


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LINES_MAX, "split it by what it does"
    assert ast.get_docstring(ast.parse(text)), "begin with a docstring: what the module is for"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_fit_on_a_screen(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, f"{node.name} is too long: take a step out of it"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_functions_and_classes_of_a_facade_are_documented(path: Path) -> None:
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name}: say what it gives, its units and what it raises"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_names_are_words_of_the_field(path: Path) -> None:
    if name_of(path) != "serve/data.py":  # a data process is what it is
        assert not BANNED_NAMES & {path.stem, path.parent.name}, "name it for what it holds"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_stand_at_the_top(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [child for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)]
            assert not inside, f"{node.name} imports inside"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_capabilities_are_imported_by_their_facades_only(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hypereal."):
            parts = node.module.split(".")[1:]
            if parts[0] in CAPABILITIES and parts[0] != own and own not in ("serve", "cli"):
                is_facade = len(parts) == 1 or ".".join(parts) in FACADES_BELOW
                assert is_facade, f"import {node.module} through hypereal.{parts[0]}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_sql_stands_in_stores_and_migrations(path: Path) -> None:
    relative = path.relative_to(SOURCE)
    if relative.parts[0] == "migrations" or path.stem == "store" or "store" in relative.parts:
        return
    strings = [n.value for n in ast.walk(tree_of(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    docstrings = {
        ast.get_docstring(n, clean=False)
        for n in ast.walk(tree_of(path))
        if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    found = [text for text in strings if SQL.search(text) and text not in docstrings]
    allowed = {"serve/migrate.py"}  # it asks before there is a schema
    assert not found or name_of(path) in allowed, f"queries belong in store.py: {found}"


def test_blind_excepts_stand_in_three_places_only() -> None:
    found: dict[str, int] = {}
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            ):
                if any(isinstance(child, ast.Raise) and child.exc is None for child in ast.walk(node)):
                    continue  # tidies up and raises again
                found[name_of(path)] = found.get(name_of(path), 0) + 1
    assert found == BLIND_EXCEPTS


def test_pipeline_reads_on_one_screen() -> None:
    imports = [
        node
        for node in ast.walk(tree_of(SOURCE / "gateway" / "pipeline.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hypereal")
    ]
    assert len(imports) <= PIPELINE_IMPORTS_MAX


def test_unit_tests_mirror_the_source() -> None:
    unit = ROOT / "tests" / "unit"
    strays = []
    for path in sorted(unit.rglob("test_*.py")):
        relative = path.relative_to(unit)
        source = SOURCE / relative.parent / relative.name.removeprefix("test_")
        folder = SOURCE / relative.parent / relative.stem.removeprefix("test_")
        if not source.exists() and not folder.is_dir():
            strays.append(str(relative))
    assert not strays, "a unit test stands where its source stands"


def test_data_process_loads_nothing_heavy() -> None:
    program = "import sys, hypereal.serve.data; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = sorted(name for name in loaded if name.split(".")[0] in HEAVY)
    assert not heavy, "a stream waits while these think: import them in the control process"


def test_data_process_loads_no_driver_of_media() -> None:
    program = "import sys, hypereal.serve.data; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith("hypereal.providers.drivers")]


def test_no_unfinished_marks_ship() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert not [name_of(path) for path in FILES if marks.search(path.read_text(encoding="utf-8"))]


def test_locks_name_no_address() -> None:
    for lock in sorted((ROOT / "locks").glob("*.txt")):
        assert "://" not in lock.read_text(encoding="utf-8"), f"{lock.name} names an address"
