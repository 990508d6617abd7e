"""Answers to download links: ranges, conditions, and heads that let nothing stored be a page or a script of ours.

RFC 9110 sections 13 and 14. Where a bucket can be reached by itself, the answer is a redirect there.
"""

import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hypereal.kit.errors import NotFound, PermissionDenied
from hypereal.kit.ids import ObjectId
from hypereal.storage.buckets import Link
from hypereal.storage.objects import StoredObject
from hypereal.storage.storage import Storage

REDIRECT_S = 3600
"""How long the bucket's own URL is good; a download that has begun may take longer."""
SHOWN = ("image/", "video/", "audio/", "text/plain")
RUN = frozenset({"image/svg+xml"})
"""Which types a browser may show in place; the others, and what it might run, it saves."""
GUARDS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
    ),
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "content-length, content-range, content-disposition, etag",
}

_range = re.compile(r"bytes=([0-9]{0,16})-([0-9]{0,16})").fullmatch


class Span(msgspec.Struct, frozen=True):
    """Bytes START to END, which is not one of them."""

    start: int
    end: int


def read_range(given: str | None, size_bytes: int) -> Span | None:
    """The one span that is asked for; all where there is no such field, or one that may be ignored (several spans).

    None where no byte of it is there.
    """
    found = _range(given or "")
    if found is None or not (found.group(1) or found.group(2)):
        return Span(0, size_bytes)
    first, last = found.groups()
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < start:
            return Span(0, size_bytes)  # no range at all, so it says nothing
    return Span(start, end) if start < end else None


async def serve(storage: Storage, request: Request) -> Response:
    """The answer to a GET or HEAD of a download link. Raises PermissionDenied, NotFound."""
    object_id = ObjectId(request.path_params["id"])
    if not storage.links.may_download(object_id, request.query_params.get("s", "")):
        raise PermissionDenied("This link was not made here, or was changed.")
    stored = await storage.settled(await storage.find_linked(object_id))
    if not stored.is_ready:
        raise NotFound("There is no such object.")
    direct = storage.bucket.direct
    if direct is not None:
        link = Link(
            method=request.method,
            key=stored.key,
            expires_s=REDIRECT_S,
            content_type=stored.content_type,
            disposition=disposition_of(stored),
        )
        return Response(status_code=307, headers={**GUARDS, "location": direct.link(link), "cache-control": "no-store"})
    return _answer(storage, stored, request)


def _answer(storage: Storage, stored: StoredObject, request: Request) -> Response:
    size_bytes, etag = stored.size_bytes or 0, f'"{stored.etag}"'
    headers = {
        **GUARDS,
        "content-type": stored.content_type,
        "content-disposition": disposition_of(stored),
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=300",
    }
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    condition = request.headers.get("if-range")
    asked = request.headers.get("range") if condition in (None, etag) else None
    span = read_range(asked, size_bytes)
    if span is None:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size_bytes}"})
    is_part = (span.start, span.end) != (0, size_bytes)
    if is_part:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{size_bytes}"
    headers["content-length"] = str(span.end - span.start)
    status = 206 if is_part else 200
    if request.method == "HEAD" or span.start == span.end:
        return _Head(status, headers)
    return _Body(storage.read(stored, span.start, span.end), status, headers)


def disposition_of(stored: StoredObject) -> str:
    """Shown in place or saved, and under which name (RFC 6266)."""
    is_shown = stored.content_type.startswith(SHOWN) and stored.content_type not in RUN
    plain = (
        stored.filename.encode("ascii", "replace").decode().translate({ord('"'): "'", ord("\\"): "_", ord("%"): "_"})
    )
    name = f'filename="{plain}"'
    if plain != stored.filename:
        name += f"; filename*=UTF-8''{quote(stored.filename, safe='')}"
    return f"{'inline' if is_shown else 'attachment'}; {name}"


def _matches(given: str | None, etag: str) -> bool:
    """If-None-Match compares weakly (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in (given or "").split(",")]
    return etag in tags or tags == ["*"]


class _Head(Response):
    """An answer whose length is that of the body which it does not have."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status)
        self.init_headers(headers)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """As they are: Starlette would count the empty body."""
        self.raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]


class _Body(StreamingResponse):
    """An answer whose headers are complete."""

    def __init__(self, body: AsyncIterator[bytes], status: int, headers: Mapping[str, str]) -> None:
        super().__init__(body, status_code=status)
        self.raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
