"""Parts of forms, as vendors of sound and images take them."""

from collections.abc import Mapping
from typing import Any

from hypereal.providers.drivers.encoding import Part
from hypereal.providers.drivers.work import Media

_ENDINGS = {"image/jpeg": "jpg", "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/x-wav": "wav"}


def form_fields(fields: Mapping[str, Any]) -> list[Part]:
    """FIELDS that are not None, as text."""
    told = {name: value for name, value in fields.items() if value is not None}
    return [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in told.items()]


def file_part(file: Media, name: str) -> tuple[str, str, bytes]:
    """FILE under NAME and the ending of its type, which vendors go by."""
    ending = _ENDINGS.get(file.content_type, file.content_type.rpartition("/")[2] or "bin")
    return f"{name}.{ending}", file.content_type or "application/octet-stream", file.body
