"""Those around an upstream connection: the call that uses it, the pool that owns it, what changes its stream."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypereal.net.upstream import Upstream


class UpstreamLost(Exception):
    """The connection or its grammar broke.

    `is_stale`: a reused connection died before a byte of the answer came, which happens when the upstream closed it
    while idle; the request may be sent again at once. `is_timeout`: the upstream was silent for too long.
    """

    def __init__(self, why: str, *, is_stale: bool = False, is_timeout: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_stale = is_stale
        self.is_timeout = is_timeout


class Caller(Protocol):
    """What an upstream tells the call that uses it."""

    def wake(self) -> None:
        """The answer is there (whole, or its first event), or the relay is over."""

    def fail(self, why: Exception) -> None:
        """The answer will not come, or was cut."""


class Rewriter(Protocol):
    """Changes the end of a relayed stream; sees only what it asked for."""

    is_active: bool
    """Whether every event from now on is to be fed."""

    wants: Callable[[bytes], object]
    """Says, as cheaply as it can, whether rewriting may begin in DATA: whole events, maybe still in their chunks."""

    def starts_at(self, data: bytes) -> int:
        """Where in DATA rewriting begins; -1: not in these."""

    def feed(self, events: bytes) -> bytes:
        """Whole events in, whole events out; may hold some back."""

    def end(self) -> bytes:
        """What was held back."""


class Source(Protocol):
    """Where a request body that is streamed to the upstream comes from: the client's connection."""

    def pause_body(self) -> None:
        """The upstream reads slower than the client sends."""

    def resume_body(self) -> None:
        """It caught up."""


class Owner(Protocol):
    """Where a connection goes back to: its pool."""

    def put(self, upstream: "Upstream") -> None:
        """It is idle again."""

    def closed(self, upstream: "Upstream") -> None:
        """It is no more."""
