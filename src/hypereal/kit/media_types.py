"""What bytes are, by how they begin. What their sender calls them is not believed where they say otherwise.

The beginnings are those of each format's own specification, as the WHATWG's "MIME Sniffing" collects them.
"""

import re

SNIFFED_BYTES = 512
"""Enough of a file's beginning for `sniff`."""
UNKNOWN = "application/octet-stream"
TYPE_LENGTH_MAX = 127

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"OggS\0", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"(\xb5/\xfd", "application/zstd"),
    (b"\0asm", "application/wasm"),
    (b"\x7fELF", "application/x-executable"),
)
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"} | {
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
"""ISO base media files, by their major brand; every other is MP4."""
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_html = re.compile(
    rb"<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--)[\s>/]", re.I
).match
_svg = re.compile(rb"<svg[\s>]", re.I).search
_type = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*").fullmatch
_SNIFFABLE = frozenset(
    {kind for _, kind in _STARTS}
    | set(_BRANDS.values())
    | set(_RIFF.values())
    | {"video/mp4", "image/bmp", "audio/aac"}
)
_SAME = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
}
_SHARED = {
    "video/mp4": frozenset({"audio/mp4", "video/quicktime", "audio/aac"}),
    "audio/mp4": frozenset({"video/mp4"}),
    "video/webm": frozenset({"audio/webm", "video/x-matroska"}),
    "audio/ogg": frozenset({"video/ogg", "application/ogg", "audio/opus"}),
}
"""Containers that hold more than one kind of thing: what else their bytes may rightly be called."""


def sniff(head: bytes) -> str | None:
    """The type of what begins with HEAD (SNIFFED_BYTES of it, or all there is); None where the bytes do not tell."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "image/bmp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        return "audio/mpeg"
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "audio/aac"
    return _markup(head)


def _markup(head: bytes) -> str | None:
    """What a browser might run: told from plain text even where white space or a byte order mark stands before it."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\t\n\x0c\r ")
    if _svg(text) and text[:1] == b"<":
        return "image/svg+xml"
    if _html(text):
        return "text/html"
    return "text/xml" if text.startswith(b"<?xml") else None


def essence(declared: str) -> str:
    """The type that a Content-Type names, in lower case and by its usual name; '' where it names none."""
    kind = declared.partition(";")[0].strip().lower()
    if len(kind) > TYPE_LENGTH_MAX or not _type(kind):
        return ""
    return _SAME.get(kind, kind)


def settle(declared: str, head: bytes) -> str:
    """The type of bytes that begin with HEAD and were DECLARED to be something. What they are seen to be wins.

    What is said to be an image but is none is UNKNOWN, and is shown by no browser.
    """
    said, seen = essence(declared), sniff(head)
    if seen is None:
        return UNKNOWN if said in _SNIFFABLE or not said else said
    return said if said in _SHARED.get(seen, ()) else seen
