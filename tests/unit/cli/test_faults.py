import pytest
import typer

from hypereal.cli.faults import explained, message_of
from hypereal.kit.errors import NotFound
from hypereal.kit.settings import BadSettings
from hypereal.serve.faults import CannotServe


@pytest.mark.parametrize("error", [BadSettings("x.toml: no"), CannotServe("no"), NotFound("no"), ConnectionError("no")])
def test_an_expected_error_is_one_message_and_code_1(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, explained():
        raise error
    assert ended.value.exit_code == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"hypereal: {message_of(error)}\n"


def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), explained():
        raise ZeroDivisionError


def test_whoever_reads_our_output_may_stop() -> None:
    with pytest.raises(BrokenPipeError), explained():
        raise BrokenPipeError


def test_a_folder_of_somebody_else_is_named() -> None:
    assert message_of(PermissionError(13, "Permission denied", "/srv/data")).startswith(
        "/srv/data is not for this user"
    )


def test_a_full_disk_is_not_taken_for_a_silent_database() -> None:
    assert message_of(OSError(28, "No space left on device", "/srv/data/x")) == "/srv/data/x: No space left on device."
