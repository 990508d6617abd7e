"""The command line's root: every command in the order that `--help` shows."""

import typer

from hypereal.cli.serve import serve

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(serve)


@app.callback()
def root() -> None:
    """Hypereal."""


def main() -> None:
    """Run the command line."""
    app()
