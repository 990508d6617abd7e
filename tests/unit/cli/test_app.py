import pytest

from hypereal.cli import app


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_of_commands_says_of_each_what_it_says_of_itself(name: str) -> None:
    assert app.load(name).help.splitlines()[0] == app.COMMANDS[name]


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_shows_an_example(name: str) -> None:
    command = app.load(name)
    for one in getattr(command, "commands", {"": command}).values():
        assert one.epilog.startswith("Example: ")
        assert f"hypereal {name}" in one.epilog
