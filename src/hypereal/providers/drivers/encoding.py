"""Bodies of requests: JSON and forms with files, and bytes as text."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

JSON = "application/json"
Part = tuple[str, str | tuple[str, str, bytes]]
"""A field of a form: its name and its text, or (file name, content type, bytes)."""

_printable = re.compile(r'[^\r\n"\\]+').fullmatch


def json_body(members: Mapping[str, Any]) -> bytes:
    """MEMBERS without those that are None."""
    return msgspec.json.encode({name: value for name, value in members.items() if value is not None})


def form_body(parts: Iterable[Part]) -> tuple[str, bytes]:
    """PARTS as multipart/form-data: content type and body. Source: RFC 7578.

    The boundary is a digest of the parts, so the same form is the same bytes. Raises ValueError where a name cannot
    stand in a header.
    """
    listed = list(parts)
    digest = hashlib.sha256(repr(listed).encode()).hexdigest()[:32]
    boundary = f"hypereal-{digest}"
    pieces = []
    for name, value in listed:
        content = value.encode() if isinstance(value, str) else value[2]
        pieces += [f"--{boundary}\r\n{_head(name, value)}\r\n\r\n".encode(), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _head(name: str, value: str | tuple[str, str, bytes]) -> str:
    shown = (name,) if isinstance(value, str) else (name, value[0], value[1])
    if not all(map(_printable, shown)):
        raise ValueError(f"a form cannot have a field {name[:40]!r}")
    if isinstance(value, str):
        return f'Content-Disposition: form-data; name="{name}"'
    return f'Content-Disposition: form-data; name="{name}"; filename="{value[0]}"\r\nContent-Type: {value[1]}'


def base64_of(body: bytes) -> str:
    """BODY as base64."""
    return base64.b64encode(body).decode("ascii")


def data_url(body: bytes, content_type: str) -> str:
    """BODY as a data URL."""
    return f"data:{content_type};base64,{base64_of(body)}"


def bytes_of(text: str) -> bytes | None:
    """The bytes that TEXT has in base64, with or without what makes it a data URL; None where it is none."""
    payload = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(payload, validate=True) or None
    except (binascii.Error, ValueError):
        return None
