"""What the scripted vendors make: the smallest files that are what they say."""

import struct
import zlib


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


PNG = b"".join(
    (
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(b"\0\xff\x80\x00")),
        _chunk(b"IEND", b""),
    )
)
"""One orange pixel."""
MP4 = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"mp41") + struct.pack(">I4s", 16, b"mdat") + b"filmfilm"
MP3 = b"ID3\x04\0\0\0\0\0\0" + b"\xff\xfb\x90\x64" + bytes(413)
