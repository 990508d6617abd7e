"""What may go wrong in any command: said in one message that tells what to do, never as a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from hypereal.cli.client import CannotAsk
from hypereal.kit import log
from hypereal.kit.db import UNREACHABLE
from hypereal.kit.errors import HyperealError
from hypereal.kit.settings import BadSettings
from hypereal.serve.faults import CannotServe


@contextmanager
def explained() -> Iterator[None]:
    """Turn the expected errors of a command into a message on stderr and exit code 1."""
    log.configure(process="command", level="warning")
    try:
        yield
    except BrokenPipeError:
        raise  # Typer ends quietly: whoever read our output has enough
    except (BadSettings, CannotAsk, CannotServe, HyperealError, *UNREACHABLE) as error:
        sys.stderr.write(f"hypereal: {message_of(error)}\n")
        raise typer.Exit(1) from None


def message_of(error: Exception) -> str:
    """What ERROR tells an operator."""
    match error:
        case PermissionError(filename=str(path)):
            return f"{path} is not for this user. Run hypereal as the user that serves, or as root."
        case OSError(filename=str(path), strerror=str(reason)):
            return f"{path}: {reason}."
        case BadSettings() | CannotAsk() | CannotServe() | HyperealError():
            return str(error)
        case _:
            return f"The database does not answer: {error or type(error).__name__}. `hypereal doctor` tells more."
