"""The command line's root: every command in the order that `--help` shows.

A command's module is imported when the command runs, so that `--help` costs no database driver.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import hypereal

COMMANDS: Mapping[str, str] = {
    "serve": "Run the server, until a signal ends it.",
    "worker": "Run background jobs, and serve nothing, until a signal ends it.",
    "status": "Show what runs, and how it fares.",
    "doctor": "Check settings, database, storage and providers; say what to mend.",
    "migrate": "Bring the database up to this version.",
    "users": "Add the people who own keys and wallets; set their rates.",
    "keys": "Make, list, change and revoke keys.",
    "credits": "Add credits to a wallet.",
    "models": "List and check the models, their prices and targets.",
    "queue": "Look at background jobs; run one again, or cancel it.",
    "usage": "Show what each model brought and cost, over all wallets.",
    "backup": "Save all of it to one file, while it serves.",
    "restore": "Bring a backup to life: its database and its secret, here.",
    "chat": "Ask a language model, and see its answer as it comes.",
    "images": "Make images, and save them.",
    "videos": "Make a video, wait for it, and save it.",
    "speak": "Speak a text, and save it.",
    "transcribe": "Write down what a recording says.",
    "jobs": "Watch your media jobs: list, show, wait, cancel.",
    "audit": "Check that the sums of all wallets agree with what was entered.",
}
"""The name of a module of `commands/`, and the first line of its help."""


class Root(TyperGroup):
    """Knows the commands by name and one line; imports the one that is to run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(
            **attributes | {"commands": [TyperCommand(name, help=line) for name, line in COMMANDS.items()]}
        )

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what can be expected to go wrong ends it with one message and code 1."""
        with import_module("hypereal.cli.faults").explained():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command itself and what follows it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """The command NAME, imported."""
    command = typer.main.get_command(import_module(f"hypereal.cli.commands.{name}").app)
    command.name = name
    return command


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's help takes 0.3 s to import
)


def _version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"hypereal {hypereal.__version__}\n")
        raise typer.Exit


@app.callback(epilog="`hypereal COMMAND --help` tells more, with an example.")
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """One API, one key and one prepaid wallet for every AI model.

    `hypereal serve` is all it takes. chat, images, videos, speak, transcribe and jobs ask a server over HTTP; every
    other command works while the server runs and while it does not.
    """


def main() -> None:
    """Run the command line."""
    app()
