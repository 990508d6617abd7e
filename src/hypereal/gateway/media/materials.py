"""Files that callers give along with a request: checked when it comes, and brought to a vendor as that wants them."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator

from hypereal.gateway.media import sounds
from hypereal.kit import media_types
from hypereal.kit.errors import InvalidRequest, UnusableUrl
from hypereal.kit.ids import AccountId
from hypereal.kit.outbound import Outbound, Wanted
from hypereal.providers.drivers import Media, Takes
from hypereal.storage import Copy, Kind, Storage, store_output

BYTES_MAX = 20 * 1024 * 1024
"""Of one picture."""
RECORDING_BYTES_MAX = 25 * 1024 * 1024
FETCH_S_MAX = 60.0

_data_url = re.compile(r"data:([\w.+-]{1,40}/[\w.+-]{1,60})?((?:;[\w-]+=[\w-]+)*);base64,", re.ASCII).match


class CannotBring(Exception):
    """A vendor wants a file in a way that is not possible here. The message is for the caller."""


class Materials:
    """PUBLIC_URL is the setting: where vendors can reach what is stored here."""

    def __init__(self, storage: Storage, outbound: Outbound, public_url: str | None) -> None:
        self._storage = storage
        self._outbound = outbound
        self._public_url = public_url

    async def check(self, given: str, field: str) -> None:
        """See that GIVEN, a URL of a picture, can be used. Raises InvalidRequest, UnusableUrl that names FIELD."""
        if given.startswith("data:"):
            read_data_url(given, field)
        elif await self._storage.find_by_url(given) is None:
            await self._outbound.check(given, field, https_only=True)

    async def bring(self, owner_id: AccountId, given: str, takes: Takes, name: str) -> Media:
        """GIVEN as a vendor takes it. NAME tells the job's files apart. Raises UnusableUrl, CannotBring."""
        if given.startswith("data:"):
            media = read_data_url(given, "reference_images")
            return await self._reachable(owner_id, media, name) if takes is Takes.URL else media
        ours = await self._storage.find_by_url(given)
        if ours is None:
            return await self._fetched(given) if takes is Takes.BODY else Media(url=given)
        if takes is not Takes.BODY and self._public_url is not None:
            return Media(url=self._public_url + self._storage.links.download(ours.id, ours.filename))
        if (ours.size_bytes or 0) > BYTES_MAX:
            raise UnusableUrl(f"reference_images: over {BYTES_MAX} bytes.", param="reference_images")
        if takes is Takes.URL:
            raise CannotBring(_NO_ADDRESS)
        body = b"".join([piece async for piece in self._storage.read(ours)])
        return _pictured(body, ours.content_type, "reference_images")

    async def listen(self, given: str) -> tuple[str, float]:
        """GIVEN, a URL of a recording, as a data URL, and how long it lasts: what was measured is what is sent on.

        Raises InvalidRequest, UnusableUrl.
        """
        media = await self._recording(given)
        try:
            seconds = await asyncio.to_thread(sounds.seconds_of, media.body, media.content_type)
        except sounds.BadRecording as error:
            raise InvalidRequest(f"audio: {error}. It may be {_RECORDINGS}.", param="audio") from None
        return media.as_url, seconds

    async def bring_recording(self, owner_id: AccountId, given: str, takes: Takes, name: str) -> Media:
        """GIVEN, what `listen` gave, as a vendor takes it. Raises CannotBring."""
        media = _unpacked(given, "audio", RECORDING_BYTES_MAX)
        return await self._reachable(owner_id, media, name) if takes is Takes.URL else media

    async def _recording(self, given: str) -> Media:
        if given.startswith("data:"):
            media = _unpacked(given, "audio", RECORDING_BYTES_MAX)
        elif (ours := await self._storage.find_by_url(given)) is None:
            wanted = Wanted(bytes_max=RECORDING_BYTES_MAX, total_s=FETCH_S_MAX, https_only=True)
            fetched = await self._outbound.fetch(given, "audio", wanted)
            media = Media(body=fetched.body, content_type=fetched.content_type)
        elif (ours.size_bytes or 0) > RECORDING_BYTES_MAX:
            raise InvalidRequest(f"audio: over {RECORDING_BYTES_MAX} bytes.", param="audio")
        else:
            body = b"".join([piece async for piece in self._storage.read(ours)])
            media = Media(body=body, content_type=ours.content_type)
        content_type = media_types.settle(media.content_type, media.body[: media_types.SNIFFED_BYTES])
        return Media(body=media.body, content_type=content_type)

    async def _fetched(self, url: str) -> Media:
        wanted = Wanted(bytes_max=BYTES_MAX, types=("image/",), total_s=FETCH_S_MAX, https_only=True)
        fetched = await self._outbound.fetch(url, "reference_images", wanted)
        return Media(body=fetched.body, content_type=fetched.content_type)

    async def _reachable(self, owner_id: AccountId, media: Media, name: str) -> Media:
        """Bytes, put where the vendor can fetch them."""
        if self._public_url is None:
            raise CannotBring(_NO_ADDRESS)

        async def pieces() -> AsyncIterator[bytes]:
            yield media.body

        copy = Copy(name=name, filename="reference", content_type=media.content_type, kind=Kind.INPUT)
        stored = await store_output(self._storage, self._outbound, owner_id, pieces(), copy)
        return Media(url=self._public_url + self._storage.links.download(stored.id, stored.filename))


_RECORDINGS = "MP3, WAV, FLAC, Ogg, AAC, MP4 or WebM"
_NO_ADDRESS = "The provider of this model takes files by public https URLs only."


def read_data_url(given: str, field: str) -> Media:
    """The picture in a data URL. Raises InvalidRequest that names FIELD."""
    media = _unpacked(given, field, BYTES_MAX)
    return _pictured(media.body, media.content_type, field)


def _unpacked(given: str, field: str, bytes_max: int) -> Media:
    found = _data_url(given)
    if found is None:
        raise InvalidRequest(f"{field}: not a data URL with base64: 'data:image/png;base64,…'.", param=field)
    if (len(given) - found.end()) // 4 * 3 > bytes_max:
        raise InvalidRequest(f"{field}: over {bytes_max} bytes.", param=field)
    try:
        body = base64.b64decode(given[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{field}: what follows 'base64,' is no base64.", param=field) from None
    return Media(body=body, content_type=found.group(1) or "")


def _pictured(body: bytes, content_type: str, field: str) -> Media:
    seen = media_types.settle(content_type, body[: media_types.SNIFFED_BYTES])
    if not seen.startswith("image/") or not media_types.sniff(body[: media_types.SNIFFED_BYTES]):
        raise InvalidRequest(f"{field}: these bytes are no picture.", param=field)
    return Media(body=body, content_type=seen)
