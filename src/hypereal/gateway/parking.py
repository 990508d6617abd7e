"""Where a conductor waits. Apart from `call.py`, since what mypyc makes of a generator only compiled code can await."""

from collections.abc import Generator
from types import coroutine


@coroutine
def park() -> Generator[None, None, None]:
    """Leave the conductor until it is sent something, or something is thrown in."""
    yield
