"""One call in progress, and how its conductor is driven: by the protocols themselves, with `send` and `throw`.

No task and no future stands between a read and what it causes: it costs less, and it removes a class of races.
The price: `asyncio.timeout`, `sleep` and the like work only inside `aside`, and the conductor must never call `wake`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypereal.gateway.facts import Facts
from hypereal.gateway.parking import park
from hypereal.kit.ids import new_request_id
from hypereal.net import Connection, Malformed, RequestHead, Upstream

if TYPE_CHECKING:
    from hypereal.gateway.recording import Recorder

T = TypeVar("T")

HEARTBEAT_S: Final = 15


class ClientGone(Exception):
    """The client left before its answer was whole."""


class Call:
    """One request and its answer: the bridge between the protocols (callbacks) and the conductor (await)."""

    __slots__ = (
        "_conductor",
        "asked_s",
        "began_s",
        "connection",
        "deadline_s",
        "facts",
        "first_byte_s",
        "head",
        "is_over",
        "is_started",
        "on_silence",
        "on_sweep",
        "quiet_s",
        "recorder",
        "relays",
        "request_id",
        "says_nothing",
        "silence_s_max",
        "told",
        "upstream",
        "waited_s",
    )

    def __init__(self, connection: Connection, head: RequestHead, facts: Facts) -> None:
        self.connection = connection
        self.head = head
        self.facts = facts
        self.request_id = new_request_id()
        self.began_s = monotonic()
        self.asked_s = 0.0
        """Monotonic, when the target that is asked now was asked."""
        self.first_byte_s = 0.0
        """Monotonic, when the upstream's answer began; 0 until then."""
        self.upstream: Upstream | None = None
        """The connection that this call owns; given back by whoever conducts."""
        self.deadline_s = math.inf
        """Monotonic, by when the answer must have begun, whatever was tried; infinite once it has."""
        self.silence_s_max = 0.0
        """After how many seconds without content the upstream is given up."""
        self.says_nothing: Callable[[bytes], bool] | None = None
        """Which events of the upstream are no content."""
        self.quiet_s = 0
        """Sweeps since content came."""
        self.waited_s = 0
        """Sweeps since the call began: until its answer goes out, the client has waited so long."""
        self.on_silence: Callable[[], None] | None = None
        """Called by the sweep after each 15 s in which the client got no byte."""
        self.on_sweep: Callable[[], None] | None = None
        """Called by the sweep, once a second, while the call streams."""
        self.relays = False
        """Whether the caller gets events as they come."""
        self.is_started = False
        """Whether a byte of the answer went out: from then on failures are told in-band."""
        self.told = b""
        """What the client got last, where a bridge wrote it: events, or the whole answer."""
        self.recorder: Recorder | None = None
        """Keeps what the client gets, where the key's owner wants that."""
        self.is_over = False
        self._conductor: Coroutine[Any, None, None]

    # -- the conductor's side --------------------------------------------------------------------------------------

    def begin(self, conductor: Coroutine[Any, None, None]) -> None:
        """Run CONDUCTOR to its first wait."""
        self._conductor = conductor
        self.wake()

    def wait(self) -> Awaitable[None]:
        """`await call.wait()`: park until `wake` or `fail`."""
        return park()

    async def aside(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ordinary asyncio WORK (a connect, a query, a sleep) from the conductor."""
        task = asyncio.get_running_loop().create_task(work)
        is_armed = True

        def done(_: asyncio.Task[T]) -> None:
            if is_armed:  # a cancelled task still calls back: it must not wake a later wait
                self.wake()

        task.add_done_callback(done)
        try:
            await park()
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
        """Once a second: notice an upstream that says nothing, and a client who has waited for long."""
        self.waited_s += 1
        silent_s = self.waited_s
        upstream = self.upstream
        if upstream is not None and not upstream.is_done:
            upstream.silent_s += 1
            if upstream.is_relaying:
                silent_s = upstream.silent_s
            if self.on_sweep is not None:
                self.on_sweep()
            self.quiet_s = self.quiet_s + 1 if self._is_quiet(upstream) else 0
            if self.quiet_s > self.silence_s_max:
                return upstream.lose(f"nothing for {self.silence_s_max:.0f} s", is_timeout=True)
            if monotonic() > self.deadline_s:
                return upstream.lose("the deadline has passed", is_timeout=True)
        if silent_s % HEARTBEAT_S == 0 and self.on_silence is not None:
            self.on_silence()

    def _is_quiet(self, upstream: Upstream) -> bool:
        """Whether no content came since the last sweep: no byte, or only what keeps a connection alive."""
        if upstream.silent_s > 1:
            return True
        if not upstream.is_stream or self.says_nothing is None:
            return False
        recent = upstream.recent()
        return recent is not None and self.says_nothing(recent)

    def pause(self) -> None:
        if self.upstream is not None:
            self.upstream.pause()

    def resume(self) -> None:
        if self.upstream is not None:
            self.upstream.resume()
