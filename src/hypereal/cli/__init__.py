"""The `hypereal` command. Start reading at `app.py`."""

from hypereal.cli.app import main

__all__ = ["main"]
