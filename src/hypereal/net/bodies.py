"""Request bodies in memory: how many bytes a process may hold at once, and how a long one is received."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

BODIES_BYTES_MAX = 256 * 1024 * 1024


class BodyBudget:
    """Bytes of request bodies held by all connections of a process; over the bound, further bodies wait to be read.

    The wait is first come, first served: one long body is not starved by many short ones.
    """

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self._waiting: deque[tuple[int, Callable[[], bool]]] = deque()

    def take(self, size_bytes: int, go: Callable[[], bool]) -> bool:
        """Reserve SIZE_BYTES. False: not now; GO is called once they are reserved, and says whether they are wanted."""
        if self._waiting or not self._has_room(size_bytes):
            self._waiting.append((size_bytes, go))
            return False
        self.bytes_held += size_bytes
        return True

    def take_now(self, size_bytes: int) -> bool:
        """Reserve SIZE_BYTES, or nothing where there is no room: False."""
        has_room = not self._waiting and self._has_room(size_bytes)
        if has_room:
            self.bytes_held += size_bytes
        return has_room

    def give_back(self, size_bytes: int) -> None:
        """A body is no longer held."""
        self.bytes_held -= size_bytes
        while self._waiting and self._has_room(self._waiting[0][0]):
            size, go = self._waiting.popleft()
            self.bytes_held += size
            if not go():
                self.bytes_held -= size

    def _has_room(self, size_bytes: int) -> bool:
        """A body longer than the bound may come when it is the only one."""
        return not self.bytes_held or self.bytes_held + size_bytes <= self.bytes_max


budget = BodyBudget()


class Receiver(Protocol):
    """The connection that a long body came on."""

    since_s: int

    def long_body_over(self, body: bytearray) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...


class LongBody(asyncio.BufferedProtocol):
    """Receives a long body straight into one buffer, then hands back to its connection."""

    __slots__ = ("_at", "_body", "_receiver", "_view")

    def __init__(self, receiver: Receiver, first: bytes, length: int) -> None:
        self._receiver = receiver
        self._body = bytearray(length)
        self._body[: len(first)] = first
        self._view = memoryview(self._body)
        self._at = len(first)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        self._receiver.since_s = 0
        self._at += nbytes
        if self._at == len(self._body):
            self._view.release()
            self._receiver.long_body_over(self._body)

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.connection_lost(exc)
