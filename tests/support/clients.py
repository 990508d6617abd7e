"""One client of our HTTP server without a socket: bytes in, bytes out, and what the call behind them was told."""

from collections.abc import Callable

from tests.support.transports import RecordingTransport, Turns

from hypereal.net import Body, Connection, Malformed, RequestHead

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
OK_CLOSE = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"


class Exchange:
    """A call that keeps what it is told."""

    def __init__(self, connection: Connection, head: RequestHead) -> None:
        self.connection = connection
        self.head = head
        self.told: list[str] = []
        self.body: Body | None = None
        self.failure: Malformed | None = None
        self.on_ready: Callable[[Exchange], None] | None = None

    def read(self) -> None:
        """Ask for the body."""
        try:
            if self.connection.read_body():
                self.body = self.connection.body
        except Malformed as why:
            self.failure = why

    def answer(self) -> None:
        """Answer 200 `ok`, saying `close` where the connection will, and end the call."""
        self.connection.transport.write(OK if self.connection.keeps_alive else OK_CLOSE)
        self.connection.done()

    def body_ready(self) -> None:
        self.told.append("ready")
        self.body = self.connection.body
        if self.on_ready is not None:
            self.on_ready(self)

    def body_failed(self, why: Malformed) -> None:
        self.told.append("failed")
        self.failure = why

    def client_gone(self) -> None:
        self.told.append("gone")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


class Desk:
    """The program behind the connections of a test: each request runs BEGIN."""

    def __init__(self, begin: Callable[[Exchange], None], body_bytes_max: int = 1 << 20) -> None:
        self.connections: set[Connection] = set()
        self.body_bytes_max = body_bytes_max
        self.is_draining = False
        self.calls: list[Exchange] = []
        self._begin = begin

    def begin(self, connection: Connection, head: RequestHead) -> None:
        call = Exchange(connection, head)
        connection.call = call
        self.calls.append(call)
        self._begin(call)

    def refuse(self, connection: Connection, why: Malformed) -> bytes:
        return b"HTTP/1.1 %d refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % why.status


class Client:
    """A client's connection to a Desk."""

    def __init__(self, begin: Callable[[Exchange], None], **limits: int) -> None:
        self.desk = Desk(begin, **limits)
        self.turns = Turns()
        self.connection = Connection(self.desk, self.turns)  # type: ignore[arg-type]
        self.transport = RecordingTransport()
        self.transport.connect(self.connection)

    @property
    def call(self) -> Exchange:
        return self.desk.calls[-1]

    def send(self, *reads: bytes) -> bytes:
        """Send READS, one by one; what was answered."""
        for read in reads:
            self.transport.feed(read)
        self.turns.run()
        return self.transport.take_written()

    def sweep(self, seconds: int) -> None:
        for _ in range(seconds):
            self.connection.sweep()


def read_then_answer(call: Exchange) -> None:
    """Read the body, then answer."""
    call.on_ready = Exchange.answer
    call.read()
    if call.body is not None:
        call.answer()


def post(body: bytes, *fields: bytes, path: bytes = b"/") -> bytes:
    """A POST of BODY with a length."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n%s" % (path, len(body), lines, body)


def post_chunked(chunks: bytes, *fields: bytes) -> bytes:
    """A POST of ready CHUNKS."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n%s\r\n%s" % (lines, chunks)


def splits(data: bytes) -> list[tuple[bytes, bytes]]:
    """DATA in two reads, cut at every byte."""
    return [(data[:at], data[at:]) for at in range(1, len(data))]
