"""What is asked of a vendor, in our own words: the same for every vendor that can make it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from hypereal.providers.drivers.encoding import base64_of, data_url


class Kind(StrEnum):
    """What is made."""

    IMAGE = "image"
    IMAGE_EDIT = "image_edit"
    """Images from images: one reference at least."""
    VIDEO = "video"
    SPEECH = "speech"
    CLONE = "clone"
    """Speech in the voice of a recording."""
    TRANSCRIPT = "transcript"


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes along with the work: where it is, or what it is. One of the two is given."""

    url: str = ""
    """https, and public: the vendor fetches it."""
    body: bytes = b""
    content_type: str = ""
    """Of `body`; e.g. 'image/png'."""

    @property
    def as_url(self) -> str:
        """Its address, or a data URL with its bytes."""
        return self.url or data_url(self.body, self.content_type)

    @property
    def as_base64(self) -> str:
        """Its address, or its bytes in base64, for vendors that want no `data:` before them."""
        return self.url or base64_of(self.body)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to make. What is None or empty was not asked for: the vendor's own default holds."""

    kind: Kind
    model: str
    """The vendor's id of it."""
    prompt: str = ""
    n: int = 1
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    aspect_ratio: str | None = None
    """As '16:9'."""
    resolution: str | None = None
    """As the vendors write it, in any case: '1K', '4k', '720p', '1080P'."""
    quality: str | None = None
    duration_s: int | None = None
    references: tuple[Media, ...] = ()
    """Images, in the caller's order; the first is where a video begins, unless `extra` says otherwise."""
    mask: Media | None = None
    last_image: Media | None = None
    """Where a video ends."""
    audio: Media | None = None
    """What a transcript is made of, or the voice of a clone."""
    text: str = ""
    """What is spoken; for a clone's recording, what is said in it is in `extra` ('reference_text')."""
    voice: str | None = None
    """The vendor's id of it."""
    format: str | None = None
    """Of what is made: 'png', 'jpeg', 'mp3', 'wav', ..."""
    seed: int | None = None
    language: str | None = None
    """Of speech, as 'en'."""
    extra: Mapping[str, Any] = {}
    """Members of the caller's request that are none of these. Those that the route knows (`Route.extras`) go on as they
    are, below ours: nothing that a price may depend on comes in this way."""
    key: str = ""
    """The job's own, the same at each try: a vendor that knows it does not begin twice."""
    callback_url: str | None = None
    """Where a vendor that can may tell that it is done."""
    callback_secret: str = ""
    """Of this job, for a vendor that signs with what it is given."""
