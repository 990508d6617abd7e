"""Doubles of asyncio's side: a transport that records what is done to it, and a loop whose turns the test runs."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Turns:
    """The part of an event loop that `call_soon` needs; `run` runs what was queued, and what that queues."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._queue.append((callback, args))

    def run_once(self) -> None:
        """One round: what is queued now."""
        for _ in range(len(self._queue)):
            callback, args = self._queue.popleft()
            callback(*args)

    def run(self) -> None:
        while self._queue:
            callback, args = self._queue.popleft()
            callback(*args)


class RecordingTransport(asyncio.Transport):
    """Keeps what was written. Like uvloop's, it refuses writes after EOF and after the connection was lost."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.writes: list[bytes] = []
        self.is_reading = True
        self.has_written_eof = False
        self.ended = ""
        """'' while open, else 'close' or 'abort'."""
        self.is_lost = False
        self.backlog_bytes = 0
        """What the peer has not read yet; a test sets it."""
        self.on_write: Callable[[], None] | None = None
        self._protocol: asyncio.BaseProtocol | None = None

    def connect(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def lose(self, error: Exception | None = None) -> None:
        """The peer has gone, or an `abort` takes effect."""
        self.is_lost = True
        self.ended = self.ended or "close"
        assert self._protocol is not None
        self._protocol.connection_lost(error)

    def take_written(self) -> bytes:
        """What was written since the last call."""
        written, self.written = self.written, b""
        return written

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.has_written_eof or self.is_lost:
            raise RuntimeError("write on a transport that is over")
        if self.ended:
            return
        self.written += bytes(data)
        self.writes.append(bytes(data))
        if self.on_write is not None:
            self.on_write()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_written_eof = True

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "close"

    def abort(self) -> None:
        self.ended = "abort"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.backlog_bytes

    def feed(self, data: bytes) -> None:
        """DATA came from the peer, whatever protocol is listening now."""
        while data and not self.ended:
            protocol = self.get_protocol()
            if isinstance(protocol, asyncio.BufferedProtocol):
                buffer = protocol.get_buffer(len(data))
                taken = min(len(buffer), len(data))
                buffer[:taken] = data[:taken]
                protocol.buffer_updated(taken)
                data = data[taken:]
            else:
                assert isinstance(protocol, asyncio.Protocol)
                protocol.data_received(data)
                return
