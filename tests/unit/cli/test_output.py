import json

import pytest

from hypereal.cli import output
from hypereal.kit import money


def test_credits_in_json_are_exact_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_json({"credits": money.credits_json(1_500_001)})
    assert capsys.readouterr().out == '{"credits":1.500001}\n'


def test_what_looks_like_markup_is_written_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table = output.table("name")
    table.add_row("[bold]ada[/bold] :smile:")
    output.write(table, "[red]x")
    assert "[bold]ada[/bold] :smile:" in (told := capsys.readouterr().out)
    assert "[red]x" in told


def test_a_pipe_gets_whole_values(capsys: pytest.CaptureFixture[str]) -> None:
    table = output.table("a", "b")
    table.add_row("x" * 150, "y" * 150)
    output.write(table, json.dumps("z" * 1000))
    told = capsys.readouterr().out
    assert "x" * 150 in told
    assert "y" * 150 in told
    assert "z" * 1000 in told
