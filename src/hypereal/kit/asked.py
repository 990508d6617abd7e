"""What a caller of the control process asks with: JSON bodies and queries, bounded and checked; and pages of lists.

Bodies are structs with `forbid_unknown_fields`; of a query, what is not known is left alone, as clients add their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import msgspec

from hypereal.kit.errors import InvalidRequest, RequestTooLarge

if TYPE_CHECKING:  # data processes load no web framework
    from starlette.requests import Request

BODY_BYTES_MAX = 1024 * 1024
PAGE_DEFAULT = 20
PAGE_MAX = 100
TEXT_MAX = 1_000
"""Characters of one value of a query."""

Shape = TypeVar("Shape", bound=msgspec.Struct)
Item = TypeVar("Item")

_FIELD = re.compile(r"(?:field `|`\$\.)([\w.\[\]]+)`")


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Contract section 9: `?limit=&after=`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    after: str = ""
    """`next` of the page before."""


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Contract section 9."""

    data: Sequence[Item]
    has_more: bool
    next: str | None
    """`after` of the next page."""


def page_of(found: Sequence[Item], limit: int, name: Callable[[Item], str]) -> Page[Item]:
    """A page of what was FOUND with a limit of one more than LIMIT. NAME gives an item's place in the order."""
    data = found[:limit]
    has_more = len(found) > limit
    return Page(data=data, has_more=has_more, next=name(data[-1]) if has_more else None)


async def body_of(request: Request, shape: type[Shape]) -> Shape:
    """The request's JSON body. Raises InvalidRequest that names the field, RequestTooLarge over 1 MiB."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > BODY_BYTES_MAX:
            raise RequestTooLarge(f"The body is over {BODY_BYTES_MAX} bytes.")
    return read_body(bytes(raw), shape)


def read_body(raw: bytes, shape: type[Shape]) -> Shape:
    """RAW as SHAPE. Raises InvalidRequest that names the field."""
    try:
        body = msgspec.json.decode(raw or b"{}", type=shape)
        msgspec.json.encode(body)  # half a surrogate pair is decoded, but is no text
    except msgspec.ValidationError as error:
        raise _wrong(error) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
    if b"\\u0000" in raw:
        raise InvalidRequest("The body holds a NUL character, which no text of ours may.")
    return body


def query_of(request: Request, shape: type[Shape]) -> Shape:
    """The request's query. Raises InvalidRequest that names the field."""
    values = dict(request.query_params)
    for name, value in values.items():
        if len(value) > TEXT_MAX or "\0" in value:
            raise InvalidRequest(f"{name[:100]}: too long, or no text.", param=name[:100])
    try:
        return msgspec.convert(values, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(error) from None


def _wrong(error: msgspec.ValidationError) -> InvalidRequest:
    """msgspec names the place at the end of its message: "… - at `$.name`"."""
    text = str(error)
    field = _FIELD.search(text)
    name = field.group(1) if field else None
    what = text.partition(" - at ")[0]
    return InvalidRequest(f"{name}: {what}." if name and name not in what else f"{what}.", param=name)
