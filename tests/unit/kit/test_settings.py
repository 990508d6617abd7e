"""Secrets of the server, given in any of the ways that secrets have."""

from pathlib import Path

import pytest

from hypereal.kit import settings
from hypereal.kit.settings import BadSettings

SECRET = "0123456789abcdef" * 2


def secret_of(path: Path, given: str) -> str | None:
    (path / "hypereal.toml").write_text(f"[server]\nsecret = {given}\n", "utf-8")
    return settings.load(path / "hypereal.toml").server.secret


def test_a_secret_may_be_text_or_name_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET + "\n", "utf-8")
    assert secret_of(tmp_path, f'"{SECRET}"') == SECRET
    assert secret_of(tmp_path, '{ env = "A_SECRET" }') == SECRET
    assert secret_of(tmp_path, f'{{ file = "{tmp_path}/secret" }}') == SECRET
    assert secret_of(tmp_path, '{ env = "NO_SUCH" }') is None


@pytest.mark.parametrize(
    ("given", "complaint"),
    [('"short"', "at least 32"), ("5", "server.secret"), ('{ file = "/nowhere" }', "cannot read /nowhere")],
)
def test_a_secret_that_is_none_is_refused(given: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=complaint) as refused:
        secret_of(tmp_path, given)
    assert "short" not in str(refused.value)
