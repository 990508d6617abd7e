"""The body of an upstream's answer: where it ends, and what it says once framing and compression are taken off."""

import zlib
from typing import Final

from hypereal.net.eventstream import EventStreamDecoder
from hypereal.net.http1 import (
    BETWEEN,
    LAST_CHUNK,
    AnswerHead,
    ChunkWalker,
    Malformed,
    chunk,
    is_lone_chunk,
    size_line_value,
)

DECODED_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one read: what a few compressed bytes may grow to."""
_PLAIN: Final = (b"", b"identity")
_GZIP: Final = (b"gzip", b"x-gzip", b"deflate")


NO_CHUNKS: Final = ChunkWalker()
"""Never walked."""


class AnswerBody:
    """Follows one body read by read. Bytes after its end spoil the connection: `head.keep_alive` is then False."""

    __slots__ = ("_decoder", "_head", "_left", "_messages", "_walker", "is_plain_chunks")

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._left = head.length
        self._walker = ChunkWalker() if head.is_chunked else NO_CHUNKS
        self._decoder: zlib._Decompress | None = None
        if head.content_encoding in _GZIP:
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._messages = EventStreamDecoder() if head.is_framed else None
        self.is_plain_chunks = head.is_chunked and head.content_encoding in _PLAIN and not head.is_framed
        """Whether its chunks may be relayed as they are."""

    @property
    def ends_at_close(self) -> bool:
        """Whether only the end of the connection ends it."""
        return self._head.length < 0 and not self._head.is_chunked

    def pass_chunks(self, data: bytes) -> int:
        """Walk DATA where it is whole chunks of plain text: how many of its bytes come before the last chunk.

        0 where it is not; nothing is walked then.
        """
        walker = self._walker
        if not self.is_plain_chunks or walker.joint != BETWEEN:
            return 0
        if is_lone_chunk(data):
            return len(data)  # as most reads of a stream are
        is_last = data.endswith(LAST_CHUNK)
        size_line_end = data.find(b"\r\n") + 2
        size = size_line_value(data[:size_line_end])
        end = walker.walk_on(data, size_line_end + size) if size else walker.walk(data)
        if is_last and end == len(data):
            return end - len(LAST_CHUNK)
        if not is_last and end < 0 and walker.joint == BETWEEN:
            return len(data)
        walker.restart()
        return 0

    def framed(self, data: bytes) -> tuple[bytes, bool]:
        """What of DATA belongs to the body, in its own framing (in chunks where the close ends it); is it over?"""
        is_over = False
        if self._head.is_chunked:
            end = self._walker.walk(data)
            is_over = end >= 0
            if is_over and end < len(data):
                self._head.keep_alive = False
                data = data[:end]
        elif self._left >= 0:
            data, is_over = self._count(data)
        elif data:
            data = chunk(data)
        return data, is_over

    def payload(self, data: bytes) -> tuple[bytes, bool]:
        """What DATA says, and whether the body is over. Raises Malformed, and zlib.error."""
        is_over = False
        if self._head.is_chunked:
            parts: list[bytes] = []
            end = self._walker.walk(data, parts)
            is_over = end >= 0
            if is_over and end < len(data):
                self._head.keep_alive = False
            data = parts[0] if len(parts) == 1 else b"".join(parts)
        elif self._left >= 0:
            data, is_over = self._count(data)
        if self._decoder is not None:
            data = self._decoder.decompress(data, DECODED_BYTES_MAX)
            if self._decoder.unconsumed_tail:
                raise Malformed(502, "the answer is too large")
        elif self._head.content_encoding not in _PLAIN:
            raise Malformed(502, "the answer has a content-encoding that was not asked for")
        if self._messages is not None:
            data = self._messages.feed(data)
        return data, is_over

    def _count(self, data: bytes) -> tuple[bytes, bool]:
        if len(data) > self._left:
            self._head.keep_alive = False
            data = data[: self._left]
        self._left -= len(data)
        return data, not self._left
