"""What a translation between two dialects must be able to do. One module a pair implements it."""

from typing import Protocol

from hypereal.kit.dialects import Dialect
from hypereal.wire.request import Request
from hypereal.wire.usage import Profile


class BridgedStream(Protocol):
    """One stream on its way through; keeps what it must remember between events."""

    def feed(self, stream: bytes) -> bytes:
        """Take the upstream's next whole events; returns the caller's."""

    def end(self) -> bytes:
        """The upstream's stream is over: the caller's last events."""


class Bridge(Protocol):
    """Callers speak `caller`, the upstream speaks `upstream`, as its PROFILE has it.

    For the bill, usage and errors are read from the upstream's own bytes in its own dialect.
    """

    caller: Dialect
    upstream: Dialect

    def request(self, request: Request, profile: Profile) -> Request:
        """The call in the upstream's dialect, ready for its `write`. Raises InvalidRequest for what it cannot carry."""

    def answer(self, body: bytes, profile: Profile) -> bytes:
        """A plain answer in the caller's dialect. Raises UpstreamFailed where BODY is none."""

    def stream(self, profile: Profile) -> BridgedStream:
        """The translation of one stream."""
