from pathlib import Path

import pytest

from hypereal.cli import welcome

KEY = "ck_" + "0" * 64


def facts(*providers: str, has_local_model: bool = True) -> welcome.Facts:
    return welcome.Facts(
        address="http://127.0.0.1:8787",
        data_dir=Path("/data"),
        providers=providers,
        has_local_model=has_local_model,
        took_s=3.14,
    )


def test_what_is_to_be_pasted_stands_in_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    welcome.first(facts(), KEY)
    lines = capsys.readouterr().out.splitlines()
    assert f"ANTHROPIC_BASE_URL=http://127.0.0.1:8787 ANTHROPIC_AUTH_TOKEN={KEY} claude" in lines
    assert f"export OPENAI_BASE_URL=http://127.0.0.1:8787/v1 OPENAI_API_KEY={KEY}" in lines
    assert "curl -sS http://127.0.0.1:8787/v1/chat/completions \\" in lines


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (facts("acme", "openai"), "Calls go to acme, openai; the local model answers for"),
        (facts("acme", has_local_model=False), "Calls go to acme."),
        (facts(), "answers come from the local model"),
        (facts(has_local_model=False), "hypereal doctor --install-local"),
    ],
)
def test_a_start_says_who_answers(given: welcome.Facts, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    welcome.later(given)
    assert said in capsys.readouterr().out
