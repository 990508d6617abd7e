"""A scripted upstream: it records what it is sent byte for byte, and answers by script, as badly as is wanted.

It has an HTTP/1.1 server of its own, since no library would send what broken upstreams send. What correct answers of
each vendor look like is in `vendors.py`. By hand: `python -m tests.support.upstream --port 9000`, then point a provider
at http://127.0.0.1:9000/v1.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from tests.support import vendors
from tests.support.background import CALL_S_MAX, Background, Gate, Happening

HEAD_BYTES_MAX = 1024 * 1024
RECORDED_MAX = 10_000
AT_HEAD = ""


class Do(Enum):
    """What a script does besides sending."""

    READ_BODY = auto()
    """Take the request's body off the wire; only for `answer_head`."""
    CUT = auto()
    """Reset the connection."""
    CLOSE = auto()
    """Close it, as an answer without a length ends."""


Step = bytes | Gate | Do | float
Script = Iterable[Step]
"""One answer: what goes on the wire, piece by piece, with gates where it waits for the test; a number: seconds."""


@dataclass
class Recorded:
    """One request as it came."""

    head: bytes
    """Request line and fields, with the empty line."""
    body: bytes = b""
    sent_bytes: int = 0
    """Of the answer, handed to the operating system."""
    connection: int = 0
    gone: Happening = field(default_factory=Happening)
    """The other side closed the connection, perhaps before the answer was whole."""

    @property
    def path(self) -> str:
        """With its query."""
        return self.head.split(b" ", 2)[1].decode()

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Header fields in their order, names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def get(self, name: str) -> str | None:
        """The first field called NAME."""
        return next((value for key, value in self.fields if key == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def model(self) -> str:
        """From Gemini's path, else from the body."""
        if found := re.search(r"/models/([^:]+):", self.path):
            return found.group(1)
        try:
            return str(json.loads(self.body).get("model", ""))
        except (ValueError, AttributeError):
            return ""

    @property
    def wants_stream(self) -> bool:
        if "streamGenerateContent" in self.path:
            return True
        with contextlib.suppress(ValueError, AttributeError):
            return json.loads(self.body).get("stream") is True
        return False


class Upstream:
    """The server. Scripts wait by model id; a request without one gets what ANSWERS makes of it."""

    def __init__(
        self,
        background: Background,
        port: int = 0,
        answers: Callable[[Recorded], Script] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._background = background
        self._usual = answers or default
        self._lock = threading.Condition()
        self._scripts: dict[str, deque[Script]] = {}
        self._gates: list[Gate] = []
        self._connections = 0
        self._handler = self._usual
        self.requests: list[Recorded] = []
        """Those since the last `reset`, in the order in which they were read."""
        self._server = background.run(self._listen(host, port))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{host}:{self.port}"

    # -- the test's side -------------------------------------------------------------------------------------------

    def answer(self, model: str, *scripts: Script) -> None:
        """The next requests for MODEL, as the upstream knows it, get SCRIPTS, one each."""
        with self._lock:
            self._scripts.setdefault(model, deque()).extend(scripts)

    def answer_all(self, handler: Callable[[Recorded], Script]) -> None:
        """Requests without a script get what HANDLER says, until the next `reset`."""
        self._handler = handler

    def answer_head(self, *scripts: Script) -> None:
        """The next requests, whatever they are, get SCRIPTS as soon as their heads are there (see `Do.READ_BODY`)."""
        self.answer(AT_HEAD, *scripts)

    def gate(self) -> Gate:
        """A gate that `reset` opens, so that no script outlives its test."""
        self._gates.append(Gate())
        return self._gates[-1]

    def request(self, number: int = 0, *, timeout_s: float | None = CALL_S_MAX) -> Recorded:
        """The request of this NUMBER since the last reset, waited for."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.requests) > number, timeout_s), "no such request came"
            return self.requests[number]

    def reset(self) -> None:
        """Forget requests and scripts; let go what waits."""
        for gate in self._gates:
            gate.open()
        with self._lock:
            self._gates, self.requests, self._scripts = [], [], {}
            self._handler = self._usual

    def close(self) -> None:
        self.reset()
        self._background.loop.call_soon_threadsafe(self._server.close)

    # -- the wire's side -------------------------------------------------------------------------------------------

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Protocol(self._serve), host, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = self._connections
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, _Protocol)
        try:
            while True:
                recorded = protocol.recorded = Recorded(await reader.readuntil(b"\r\n\r\n"), connection=connection)
                if not await self._exchange(recorded, reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, recorded: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether another request may follow."""
        script = self._next(AT_HEAD)
        if script is None:
            recorded.body = await _read_body(recorded, reader)
            script = self._next(recorded.model) or self._handler(recorded)
        self._record(recorded)
        for step in script:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                    recorded.sent_bytes += len(step)
                    await asyncio.sleep(0)  # so that each piece is a packet of its own, as far as the kernel allows
                case Gate():
                    await step.pass_through()
                case float():
                    await asyncio.sleep(step)
                case Do.READ_BODY:
                    recorded.body = await _read_body(recorded, reader)
                case Do.CUT:
                    writer.transport.abort()
                    return False
                case Do.CLOSE:
                    return False
        return True

    def _next(self, name: str) -> Script | None:
        with self._lock:
            waiting = self._scripts.get(name)
            return waiting.popleft() if waiting else None

    def _record(self, recorded: Recorded) -> None:
        with self._lock:
            assert len(self.requests) < RECORDED_MAX, "the test forgets to reset"
            self.requests.append(recorded)
            self._lock.notify_all()


class _Protocol(asyncio.StreamReaderProtocol):
    """Streams, and the word that the other side has gone, at once and whatever the script is doing."""

    def __init__(self, serve: Any) -> None:
        super().__init__(asyncio.StreamReader(limit=HEAD_BYTES_MAX), serve)
        self.recorded: Recorded | None = None

    def eof_received(self) -> bool | None:
        self._gone()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        super().connection_lost(exc)

    def _gone(self) -> None:
        if self.recorded is not None:
            self.recorded.gone.happen()


async def _read_body(recorded: Recorded, reader: asyncio.StreamReader) -> bytes:
    length = recorded.get("content-length")
    if length is not None:
        return await reader.readexactly(int(length))
    if recorded.get("transfer-encoding") is None:
        return b""
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


# -- scripts -----------------------------------------------------------------------------------------------------------


def plain(body: object, status: int = 200, *fields: str, content_type: str = "application/json") -> Script:
    """A whole answer: BODY as it is where it is bytes, else as JSON; FIELDS are header lines."""
    payload = body if isinstance(body, bytes) else vendors.encode(body)
    head = _head(status, content_type, f"content-length: {len(payload)}", *fields)
    return [head + payload]


def stream(events: Sequence[Step], *fields: str, content_type: str = "text/event-stream", ends: bool = True) -> Script:
    """Server-sent events, a chunk each. ENDS False: without the last chunk."""
    steps: list[Step] = [_head(200, content_type, "transfer-encoding: chunked", *fields)]
    steps += [chunk(event) if isinstance(event, bytes) else event for event in events]
    return [*steps, b"0\r\n\r\n"] if ends else steps


def raw(*steps: Step) -> Script:
    """Any bytes at all."""
    return steps


def until_close(events: Sequence[bytes]) -> Script:
    """Server-sent events without any framing; the end of the connection ends them."""
    return [_head(200, "text/event-stream", "connection: close"), *events, Do.CLOSE]


def byte_by_byte(events: Sequence[bytes]) -> Script:
    """Every byte a chunk of its own, UTF-8 sequences and line ends split."""
    return stream([bytes([byte]) for byte in b"".join(events)])


def in_one_chunk(events: Sequence[bytes]) -> Script:
    """All events in one chunk, with head and end in one packet."""
    whole = _head(200, "text/event-stream", "transfer-encoding: chunked") + chunk(b"".join(events)) + b"0\r\n\r\n"
    return [whole]


def in_pieces(events: Sequence[bytes], size: int) -> Script:
    """Chunks of SIZE bytes, wherever events end."""
    whole = b"".join(events)
    return stream([whole[at : at + size] for at in range(0, len(whole), size)])


def with_crlf(events: Sequence[bytes]) -> Script:
    """Lines end in CR LF."""
    return stream([event.replace(b"\n", b"\r\n") for event in events])


def default(recorded: Recorded) -> Script:
    """The correct answer to RECORDED in the dialect of its path."""
    path = recorded.path.partition("?")[0]
    if path.endswith("count_tokens"):
        return plain({"input_tokens": 42})
    if path.endswith(":countTokens"):
        return plain({"totalTokens": 42})
    for part, (whole, events) in vendors.DEFAULTS.items():
        if part in path:
            return stream(events()) if recorded.wants_stream else plain(whole())
    return plain({"error": {"message": f"no route {path}", "type": "invalid_request_error"}}, 404)


def chunk(payload: bytes) -> bytes:
    """PAYLOAD in chunked transfer coding."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def _head(status: int, content_type: str, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {content_type}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def main() -> None:
    """Serve default answers until interrupted, and show each request's line and body."""
    parser = argparse.ArgumentParser(description="A scripted upstream with correct default answers.")
    parser.add_argument("--port", type=int, default=9000)
    background = Background()
    upstream = Upstream(background, parser.parse_args().port)
    sys.stdout.write(f"{upstream.url}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        for number in itertools.count():
            recorded = upstream.request(number, timeout_s=None)
            line, body = recorded.head.splitlines()[0].decode(), recorded.body.decode("utf-8", "replace")
            sys.stdout.write(f"{line}\n{body}\n\n")
            sys.stdout.flush()
    background.close()


if __name__ == "__main__":
    main()
