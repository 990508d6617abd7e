"""An event loop in a thread, so that sync and async tests alike drive what runs there by plain calls."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

CALL_S_MAX = 30.0


class Background:
    """The loop. `close` ends it and its thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do WORK in the loop and wait for it, 30 s at most."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(CALL_S_MAX)

    def close(self) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CALL_S_MAX)
        self.loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Gate:
    """A place where a script waits until the test opens it; the test can wait until it was reached."""

    def __init__(self) -> None:
        self._reached: Future[None] = Future()
        self._opened: Future[None] = Future()

    def open(self) -> None:
        """Let the script go on, now and ever after."""
        _resolve(self._opened)

    def wait_reached(self) -> None:
        """Return once the script waits here; fails after 30 s."""
        self._reached.result(CALL_S_MAX)

    async def pass_through(self) -> None:
        """The script's side."""
        _resolve(self._reached)
        await asyncio.shield(asyncio.wrap_future(self._opened))


class Happening:
    """Something that will happen once."""

    def __init__(self) -> None:
        self._future: Future[None] = Future()

    @property
    def has_happened(self) -> bool:
        return self._future.done()

    def happen(self) -> None:
        _resolve(self._future)

    def wait(self, timeout_s: float = CALL_S_MAX) -> None:
        """Return once it has happened; fails after TIMEOUT_S."""
        self._future.result(timeout_s)


def _resolve(future: "Future[None]") -> None:
    if not future.done():
        future.set_result(None)
