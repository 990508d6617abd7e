"""One connection to an upstream without a socket, the call on it, and the client that it may relay to."""

from collections.abc import Callable

from tests.support.transports import RecordingTransport

from hypereal.net import Rewriter, Upstream, UpstreamLost
from hypereal.net.http1 import BETWEEN, ChunkWalker

HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n"
OUT_HEAD = b"<head>"


class Pool:
    """Where a connection goes back to."""

    def __init__(self) -> None:
        self.idle: list[Upstream] = []
        self.lost: list[Upstream] = []

    def put(self, upstream: Upstream) -> None:
        self.idle.append(upstream)

    def closed(self, upstream: Upstream) -> None:
        self.lost.append(upstream)


class Caller:
    """A call that keeps what it is told."""

    def __init__(self) -> None:
        self.wakes = 0
        self.failure: UpstreamLost | None = None
        self.on_wake: Callable[[], None] = lambda: None

    def wake(self) -> None:
        self.wakes += 1
        self.on_wake()

    def fail(self, why: Exception) -> None:
        assert self.failure is None
        assert isinstance(why, UpstreamLost)
        self.failure = why


class Line:
    """One connection to an upstream with a call on it, and the client's transport that it may relay to."""

    def __init__(self, *, streams: bool = False, relays: bool = False, rewriter: Rewriter | None = None) -> None:
        self.pool = Pool()
        self.upstream = Upstream(self.pool)
        self.transport = RecordingTransport()
        self.transport.connect(self.upstream)
        self.out = RecordingTransport()
        self.caller = Caller()
        if relays:
            self.caller.on_wake = lambda: self._relay(rewriter)
        self.send(streams=streams)

    def _relay(self, rewriter: Rewriter | None) -> None:
        if self.caller.wakes == 1:
            self.upstream.relay(self.out, OUT_HEAD, rewriter)

    def send(self, *, streams: bool = False) -> None:
        self.upstream.send(self.caller, HEAD, b"{}", streams=streams)

    def answer(self, *reads: bytes) -> "Line":
        for read in reads:
            self.transport.feed(read)
        return self

    @property
    def relayed(self) -> bytes:
        """The payload that reached the client."""
        return payload_of(self.out)


def payload_of(out: RecordingTransport) -> bytes:
    """What a client was sent after OUT_HEAD; every write must be whole chunks of whole events."""
    assert out.writes[0].startswith(OUT_HEAD)
    payload = b""
    for write in out.writes:
        walker, pieces = ChunkWalker(), [b""]
        assert walker.walk(write.removeprefix(OUT_HEAD), pieces) == -1
        assert walker.joint == BETWEEN
        piece = b"".join(pieces)
        assert piece.endswith((b"\n\n", b"\r\n\r\n")) or not piece
        payload += piece
    return payload
