"""One call in progress, and how its conductor is driven: by the protocols themselves, with `send` and `throw`.

No task and no future stands between a read and what it causes: it costs less, and it removes a class of races.
The price: `asyncio.timeout`, `sleep` and the like work only inside `aside`, and the conductor must never call `wake`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from types import coroutine
from typing import Any, TypeVar

from hypereal.gateway.facts import Facts
from hypereal.kit.ids import new_request_id
from hypereal.net import Connection, Malformed, RequestHead, Upstream

T = TypeVar("T")

HEARTBEAT_S = 15


class ClientGone(Exception):
    """The client left before its answer was whole."""


@coroutine
def _park() -> Generator[None, None, None]:
    yield


class Call:
    """One request and its answer: the bridge between the protocols (callbacks) and the conductor (await)."""

    __slots__ = (
        "_conductor",
        "began_s",
        "connection",
        "facts",
        "first_byte_s",
        "head",
        "is_over",
        "is_started",
        "on_silence",
        "on_sweep",
        "request_id",
        "silence_s_max",
        "upstream",
    )

    def __init__(self, connection: Connection, head: RequestHead, facts: Facts) -> None:
        self.connection = connection
        self.head = head
        self.facts = facts
        self.request_id = new_request_id()
        self.began_s = monotonic()
        self.first_byte_s = 0.0
        """Monotonic, when the upstream's answer began; 0 until then."""
        self.upstream: Upstream | None = None
        """The connection that this call owns; given back by whoever conducts."""
        self.silence_s_max = 0.0
        """After how many seconds without a byte the upstream is given up."""
        self.on_silence: Callable[[], None] | None = None
        """Called by the sweep after each 15 s without a byte of the upstream."""
        self.on_sweep: Callable[[], None] | None = None
        """Called by the sweep, once a second, while the call streams."""
        self.is_started = False
        """Whether a byte of the answer went out: from then on failures are told in-band."""
        self.is_over = False
        self._conductor: Coroutine[Any, None, None]

    # -- the conductor's side --------------------------------------------------------------------------------------

    def begin(self, conductor: Coroutine[Any, None, None]) -> None:
        """Run CONDUCTOR to its first wait."""
        self._conductor = conductor
        self.wake()

    wait = staticmethod(_park)
    """`await call.wait()`: park until `wake` or `fail`."""

    async def aside(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ordinary asyncio WORK (a connect, a query, a sleep) from the conductor."""
        task = asyncio.get_running_loop().create_task(work)
        is_armed = True

        def done(_: asyncio.Task[T]) -> None:
            if is_armed:  # a cancelled task still calls back: it must not wake a later wait
                self.wake()

        task.add_done_callback(done)
        try:
            await _park()
        except BaseException:
            is_armed = False
            task.cancel()
            raise
        return task.result()

    def finish(self) -> None:
        """The call is over: give the upstream back, and let the connection go on to its next request."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.give_back()
        self.connection.done()

    # -- the protocols' side ---------------------------------------------------------------------------------------

    def wake(self) -> None:
        """What the conductor waits for is there."""
        try:
            self._conductor.send(None)
        except StopIteration:
            self.is_over = True

    def fail(self, why: Exception) -> None:
        """It will not come: WHY is thrown in where the conductor waits."""
        if self.is_over:
            return
        try:
            self._conductor.throw(why)
        except StopIteration:
            self.is_over = True

    def body_ready(self) -> None:
        self.wake()

    def body_failed(self, why: Malformed) -> None:
        self.fail(why)

    def client_gone(self) -> None:
        self.fail(ClientGone())

    def sweep(self) -> None:
        """Once a second: notice an upstream that says nothing."""
        upstream = self.upstream
        if upstream is None or upstream.is_done:
            return
        upstream.silent_s += 1
        if self.on_sweep is not None:
            self.on_sweep()
        if upstream.silent_s > self.silence_s_max:
            upstream.lose(f"no byte for {self.silence_s_max:.0f} s", is_timeout=True)
        elif upstream.silent_s % HEARTBEAT_S == 0 and self.on_silence is not None:
            self.on_silence()

    def pause(self) -> None:
        if self.upstream is not None:
            self.upstream.pause()

    def resume(self) -> None:
        if self.upstream is not None:
            self.upstream.resume()
