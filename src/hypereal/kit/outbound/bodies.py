"""Bodies of strangers: unpacked within a bound, and given up where they only drip."""

import zlib
from collections.abc import Iterator
from time import monotonic

from hypereal.kit.errors import UnusableUrl

PIECE_BYTES_MAX = 64 * 1024
DRIP_S = 20.0
DRIP_BYTES_MIN = 20 * 1024
"""In DRIP_S: less than a kilobyte a second is nobody's download."""


class Unpacker:
    """Undoes a Content-Encoding piece by piece. No piece is longer than PIECE_BYTES_MAX, whatever it was packed in."""

    def __init__(self, encoding: str) -> None:
        """Raises UnusableUrl for one that nobody asked for and we do not know."""
        self._inflate = None
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif encoding not in ("", "identity"):
            raise UnusableUrl("it answers in an encoding that was not asked for.")

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """What PACKED holds. Raises UnusableUrl where it is broken."""
        if self._inflate is None:
            yield packed
            return
        while packed:
            try:
                piece = self._inflate.decompress(packed, PIECE_BYTES_MAX)
            except zlib.error:
                raise UnusableUrl("its compressed answer is broken.") from None
            if piece:
                yield piece
            packed = self._inflate.unconsumed_tail

    def end(self) -> None:
        """The body is over. Raises UnusableUrl where what it was packed in is not."""
        if self._inflate is not None and not self._inflate.eof:
            raise UnusableUrl("its compressed answer is broken.")


class Pace:
    """Watches that a body comes on."""

    def __init__(self) -> None:
        self._since_s = monotonic()
        self._bytes = 0

    def came(self, size_bytes: int) -> None:
        """Bytes came. Raises UnusableUrl where too few did in the last DRIP_S."""
        self._bytes += size_bytes
        now_s = monotonic()
        if now_s - self._since_s >= DRIP_S:
            if self._bytes < DRIP_BYTES_MIN:
                raise UnusableUrl("it answers too slowly.", is_temporary=True)
            self._since_s, self._bytes = now_s, 0
