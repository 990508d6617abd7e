"""Forms with files (multipart/form-data), as OpenAI's clients send pictures: read as the JSON that says the same."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from hypereal.gateway.media.asking import Wish, wish_of
from hypereal.gateway.media.desk import Desk
from hypereal.kit import media_types
from hypereal.kit.errors import InvalidRequest

FILES_MAX = 17
"""Pictures, and a mask."""
FIELDS_MAX = 64
TEXT_BYTES_MAX = 1024 * 1024


def is_form(request: Request) -> bool:
    """Whether REQUEST carries one."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_form(
    desk: Desk, request: Request, listed: str, read: Callable[[dict[str, Any], bytes], Wish] = wish_of
) -> Wish:
    """The form of REQUEST as a wish; the field LISTED may be there several times, also as `LISTED[]`.

    Raises InvalidRequest, RequestTooLarge.
    """
    raw = await desk.body(request)
    again = Request(request.scope, _replayed(raw))
    try:
        form = await again.form(max_files=FILES_MAX, max_fields=FIELDS_MAX, max_part_size=TEXT_BYTES_MAX)
    except (MultiPartException, ValueError) as error:
        raise InvalidRequest(f"The form cannot be read: {str(error)[:200]}") from None
    try:
        fields = await _fields(form, listed)
    finally:
        await form.close()
    return read(fields, msgspec.json.encode(fields))  # the form itself has another boundary each time


async def _fields(form: FormData, listed: str) -> dict[str, Any]:
    """Texts as they are; files as data URLs."""
    fields: dict[str, Any] = {}
    files: list[str] = []
    for name, value in form.multi_items():
        plain = name.removesuffix("[]")
        given = await _data_url(value, plain) if isinstance(value, UploadFile) else value
        if "\0" in given:
            raise InvalidRequest(f"{plain[:100]}: holds a NUL character.")
        if plain == listed:
            files.append(given)
        else:
            fields[plain] = given
    return {**fields, listed: files} if files else fields


async def _data_url(file: UploadFile, field: str) -> str:
    body = await file.read()
    if not body:
        raise InvalidRequest(f"{field}: an empty file.", param=field)
    content_type = media_types.settle(file.content_type or "", body[: media_types.SNIFFED_BYTES])
    return f"data:{content_type};base64,{base64.b64encode(body).decode()}"


def _replayed(raw: bytes) -> Any:
    """What gives Starlette's parser a body that was read, and bounded, here."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    return receive
