"""The `hypereal` command. Start reading at `app.py`; every command is a module of `commands/`."""

from hypereal.cli.app import main

__all__ = ["main"]
