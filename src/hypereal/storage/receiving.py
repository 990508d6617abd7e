"""Uploads that pass through us: to the disk, and to a bucket where a caller cannot send parts itself.

A body is written as it comes. Where it breaks off, what came is kept: the caller asks how much that is, and goes on.
"""

import re
from collections.abc import AsyncIterator

import msgspec

from hypereal.kit import media_types
from hypereal.kit.errors import Conflict, InvalidRequest, NotFound, RequestTooLarge
from hypereal.storage import store
from hypereal.storage.objects import StoredObject
from hypereal.storage.spool import Spool, open_spool, size_of
from hypereal.storage.storage import UPLOAD_S, Storage

SIZE_MAX = 2**53
"""Bytes of one object: what a JSON number holds."""

_content_range = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16}|\*)").fullmatch


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which bytes of an object a body has."""

    start: int = 0
    total: int | None = None
    """Of the object; None where nobody says."""
    is_whole: bool = True
    """Whether the object is to begin anew with this body."""


def read_part(content_range: str | None, length: int | None) -> Part:
    """What the head of an upload says. Raises InvalidRequest."""
    if content_range is None:
        return Part(total=length)
    found = _content_range(content_range)
    if found is None:
        raise InvalidRequest("Content-Range is like 'bytes 0-1048575/5242880'.", param="Content-Range")
    start, last = int(found.group(1)), int(found.group(2))
    total = None if found.group(3) == "*" else int(found.group(3))
    if last < start or (length is not None and length != last - start + 1) or (total is not None and last >= total):
        raise InvalidRequest("Content-Range does not fit the body, or itself.", param="Content-Range")
    return Part(start=start, total=total, is_whole=False)


def received_bytes(storage: Storage, pending: StoredObject) -> int:
    """How much of an upload has come."""
    return size_of(storage.folder, pending.id)


async def receive(
    storage: Storage, pending: StoredObject, part: Part, body: AsyncIterator[bytes]
) -> StoredObject | int:
    """Take BODY: the object where it is whole, else how many bytes of it there are now.

    What BODY raises passes, and what came before is kept. Raises Conflict where somebody else sends it, or PART is not
    what comes next; RequestTooLarge over the quota or what was announced; InvalidRequest where it is less.
    """
    if pending.is_ready:
        raise Conflict("This object is there already. Announce another one.")
    if not part.is_whole and part.total is None and pending.size_bytes is None:
        raise InvalidRequest("Content-Range must tell how many bytes there are in all.", param="Content-Range")
    size_max = await _size_max(storage, pending, part)
    await storage.prolong(pending, UPLOAD_S)
    spool = await open_spool(storage.folder, pending.id)
    try:
        if part.is_whole:
            await spool.restart()
        if part.start != spool.size_bytes:
            raise Conflict(
                f"There are {spool.size_bytes} bytes: go on there.", headers={"upload-offset": str(spool.size_bytes)}
            )
        async for piece in body:
            if spool.size_bytes + len(piece) > size_max:
                raise RequestTooLarge(f"Only {size_max} bytes may be uploaded here.")
            await spool.write(piece)
        return await _received(storage, pending, part, spool)
    except (InvalidRequest, NotFound, RequestTooLarge):
        spool.drop()
        raise
    finally:
        await spool.close()


async def _received(storage: Storage, pending: StoredObject, part: Part, spool: Spool) -> StoredObject | int:
    wanted = pending.size_bytes if part.total is None else part.total
    if not part.is_whole and wanted is not None and spool.size_bytes < wanted:
        return spool.size_bytes
    if pending.size_bytes is not None and spool.size_bytes != pending.size_bytes:
        raise InvalidRequest(f"{spool.size_bytes} bytes came, and {pending.size_bytes} were announced.")
    return await keep(storage, pending, spool)


async def keep(storage: Storage, pending: StoredObject, spool: Spool) -> StoredObject:
    """What SPOOL holds is the object. Raises BucketAway, RequestTooLarge, NotFound where it was deleted meanwhile."""
    sha256 = await spool.finish()
    content_type = media_types.settle(pending.content_type, spool.head())
    try:
        stat = await storage.bucket.put(pending.key, spool.path, content_type)
    except FileNotFoundError:  # who deletes an object removes what came of it
        raise NotFound("The object was deleted meanwhile.") from None
    arrival = store.Arrival(
        content_type=content_type, size_bytes=stat.size_bytes, sha256=sha256, etag=stat.etag, is_final=True
    )
    stored = await storage.arrive(pending, arrival)
    spool.drop()
    return stored


async def _size_max(storage: Storage, pending: StoredObject, part: Part) -> int:
    """Raises RequestTooLarge where it is known now."""
    size_max = SIZE_MAX
    if pending.size_bytes is not None:
        size_max = pending.size_bytes
    elif storage.quota_bytes is not None:
        sums = await storage.sums(pending.owner_id)
        size_max = max(0, storage.quota_bytes - sums.size_bytes - sums.reserved_bytes)
    if part.total is not None and part.total > size_max:
        raise RequestTooLarge(f"Only {size_max} bytes may be uploaded here.")
    return size_max
