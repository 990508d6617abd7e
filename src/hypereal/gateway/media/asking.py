"""What callers write, in every shape that clients send it, as a `Wish`: flat or under `input`, by any of its names."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request

from hypereal.catalog import SoundKind
from hypereal.gateway.media.live import Listener
from hypereal.kit.errors import InvalidRequest, RequestTooLarge

MODEL_CHARS_MAX = 200
TEXT_CHARS_MAX = 200_000
FIELDS_MAX = 100
USER_CHARS_MAX = 256
PAIRS_MAX = 16
REFERENCES_MAX = 32
SECONDS_MAX = 3600

Fields = Mapping[str, Any]

_NAMES = {
    "aspectRatio": "aspect_ratio",
    "imageUrl": "image_url",
    "imageUrls": "image_urls",
    "referenceImages": "reference_images",
    "lastImageUrl": "last_image_url",
    "outputFormat": "output_format",
    "responseFormat": "response_format",
    "seconds": "duration",
}
"""Other names of what we know."""
_OF_IMAGES = ("image", "images", "image_url", "image_urls", "reference_images", "input_reference")
_KNOWN = frozenset(
    {"model", "intent", "prompt", "n", "size", "aspect_ratio", "resolution", "quality", "duration", "seed", "mask"}
    | {"last_image_url", "webhook_url", "webhookUrl", "response_format", "output_format", "user", "metadata"}
    | {"input", "hypereal", "stream", *_OF_IMAGES}
)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants, read, and not held against any rules yet."""

    model: str | None
    intent: str | None
    prompt: str
    n: int
    size: str | None
    aspect_ratio: str | None
    resolution: str | None
    quality: str | None
    duration_s: int | None
    references: tuple[str, ...]
    last_image: str | None
    mask: str | None
    seed: int | None
    format: str | None
    wants_base64: bool
    webhook_url: tuple[str, str] | None
    """And its name in the request."""
    user: str | None
    metadata: dict[str, str] | None
    extra: Mapping[str, Any]
    """What else was written: drivers know what of it goes on."""
    body: bytes
    sounds: frozenset[SoundKind] = frozenset()
    """What the endpoint is for, where it is for sound; empty for any."""
    text: str = ""
    """What is to be spoken."""
    voice: str | None = None
    audio: str | None = None
    """A recording; a data URL once it was brought in."""
    audio_s: float | None = None
    """How long it is, once that is known."""
    language: str | None = None
    speed: float = 1.0
    listener: Listener | None = None
    """Who hears it while it is made."""
    answer_format: str | None = None
    """Of a transcript: 'srt', ..."""


async def body_in(request: Request, bytes_max: int) -> bytes:
    """The whole body. Raises RequestTooLarge."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > bytes_max:
            raise RequestTooLarge(f"The body is over {bytes_max} bytes.")
    return bytes(raw)


def read_wish(raw: bytes) -> Wish:
    """RAW, a JSON body, as a wish. Raises InvalidRequest that names the field."""
    return wish_of(decoded(raw), raw)


def decoded(raw: bytes) -> dict[str, Any]:
    """RAW, a JSON object. Raises InvalidRequest."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        msgspec.json.encode(fields)  # half a surrogate pair is decoded, but is no text
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidRequest("The body is not a JSON object.") from None
    if b"\\u0000" in raw:
        raise InvalidRequest("The body holds a NUL character, which no text of ours may.")
    return fields


def wish_of(given: Fields, body: bytes) -> Wish:
    """GIVEN as a wish. Raises InvalidRequest that names the field."""
    fields = flat(given)
    if len(fields) > FIELDS_MAX:
        raise InvalidRequest(f"The body has more than {FIELDS_MAX} members.")
    response_format = text_of(fields, "response_format")
    return Wish(
        model=text_of(fields, "model", MODEL_CHARS_MAX),
        intent=text_of(fields, "intent", MODEL_CHARS_MAX),
        prompt=text_of(fields, "prompt", TEXT_CHARS_MAX) or "",
        n=_whole(fields, "n", 0, 10**6) or 1,
        size=text_of(fields, "size"),
        aspect_ratio=text_of(fields, "aspect_ratio"),
        resolution=text_of(fields, "resolution"),
        quality=text_of(fields, "quality"),
        duration_s=_whole(fields, "duration", 1, SECONDS_MAX),
        references=_references(fields),
        last_image=url_of(fields.get("last_image_url"), "last_image_url"),
        mask=url_of(fields.get("mask"), "mask"),
        seed=_whole(fields, "seed", 0, 2**63 - 1),
        format=text_of(fields, "output_format"),
        wants_base64=response_format == "b64_json",
        webhook_url=_webhook_url(fields),
        user=(text_of(fields, "user", TEXT_CHARS_MAX) or "")[:USER_CHARS_MAX] or None,
        metadata=_metadata(fields),
        extra={name: value for name, value in fields.items() if name not in _KNOWN},
        body=body,
    )


def flat(given: Fields) -> dict[str, Any]:
    """What stands under `input` counts where nothing is written beside it."""
    inner = given.get("input")
    if inner is not None and not isinstance(inner, Mapping):
        raise InvalidRequest("input: give an object.", param="input")
    both = {**(inner or {}), **{name: value for name, value in given.items() if name != "input"}}
    return {_NAMES.get(name, name): value for name, value in both.items() if value is not None}


def text_of(fields: Fields, name: str, chars_max: int = 200) -> str | None:
    """The text NAME; None where there is none, or an empty one. Raises InvalidRequest."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > chars_max:
        raise InvalidRequest(f"{name}: give a text of at most {chars_max} characters.", param=name)
    return value


def _whole(fields: Fields, name: str, least: int, most: int) -> int | None:
    """A whole number, also where it is written as text or as 5.0."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.removesuffix("s").isdecimal() and len(value) < 20:
        value = int(value.removesuffix("s"))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequest(f"{name}: give a whole number from {least} to {most}.", param=name)
    return value


def _references(fields: Fields) -> tuple[str, ...]:
    """All pictures, each once, in the order that they are written in."""
    found: list[str] = []
    for name in _OF_IMAGES:
        value = fields.get(name)
        listed: Sequence[Any] = value if isinstance(value, list) else [] if value is None else [value]
        if len(listed) > REFERENCES_MAX:
            raise InvalidRequest(f"{name}: more than {REFERENCES_MAX}.", param=name)
        found += [url for one in listed if (url := url_of(one, name)) is not None]
    return tuple(dict.fromkeys(found))


def url_of(value: Any, name: str) -> str | None:
    """A URL as such, or as clients wrap it: `{"url": …}`, `{"image_url": …}`."""
    if isinstance(value, Mapping):
        value = value.get("url") or value.get("image_url")
        value = value.get("url") if isinstance(value, Mapping) else value
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.startswith(("https://", "http://", "data:")):
        raise InvalidRequest(f"{name}: give public https URLs, or data URLs with base64.", param=name)
    return value


def _webhook_url(fields: Fields) -> tuple[str, str] | None:
    for name in ("webhook_url", "webhookUrl"):
        value = text_of(fields, name, 8192)
        if value is not None:
            return value, name
    return None


def _metadata(fields: Fields) -> dict[str, str] | None:
    """The caller's own tags; what is no text, or too long, is cut."""
    given = fields.get("metadata")
    if not isinstance(given, Mapping):
        return None
    pairs = [(str(name)[:64], value[:256]) for name, value in given.items() if isinstance(value, str)]
    return dict(pairs[:PAIRS_MAX]) or None
