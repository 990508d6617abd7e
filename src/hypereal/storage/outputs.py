"""What jobs made, copied in: streamed to this host's disk, then put in the bucket, in a memory that does not grow.

A copy is named, so it is made once, however often its job is run. A source that can send the rest of what it began (an
ETag and Range) is gone on with where a worker died.
"""

from collections.abc import AsyncIterable

import msgspec

from hypereal.kit.errors import UnusableUrl
from hypereal.kit.ids import AccountId
from hypereal.kit.outbound import Outbound, Wanted
from hypereal.storage.objects import Kind, StoredObject
from hypereal.storage.receiving import keep
from hypereal.storage.spool import Origin, Spool, open_spool
from hypereal.storage.storage import NewObject, Storage

COPY_BYTES_MAX = 16 * 1024**3
COPY_S_MAX = 3600.0
RESUMES_MAX = 5
"""In one run; a job's next run goes on too."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made of a source."""

    name: str
    """'job_…/0': an owner has one object of each."""
    filename: str
    content_type: str = ""
    """What it is said to be; what it is seen to be wins."""
    kind: Kind = Kind.OUTPUT
    types: tuple[str, ...] = ()
    """Beginnings of what it may be ('video/'); empty for anything."""


async def store_output(
    storage: Storage, outbound: Outbound, owner_id: AccountId, source: str | AsyncIterable[bytes], copy: Copy
) -> StoredObject:
    """The object made of SOURCE, a URL or bytes as they come; the same one where it was made before.

    Raises UnusableUrl where the URL gives nothing of use, BucketAway or StorageFull where it may work later, Conflict
    where another worker makes the same copy now.
    """
    pending = await storage.announce_once(
        owner_id,
        NewObject(filename=copy.filename, content_type=copy.content_type, kind=copy.kind, source=copy.name),
    )
    if pending.is_ready:
        return pending
    spool = await open_spool(storage.folder, pending.id)
    try:
        if isinstance(source, str):
            declared = await _fetch(outbound, source, copy, spool)
            pending = msgspec.structs.replace(pending, content_type=copy.content_type or declared)
        else:
            await spool.restart()
            async for piece in source:
                await spool.write(piece)
        return await keep(storage, pending, spool)
    finally:
        await spool.close()


async def _fetch(outbound: Outbound, url: str, copy: Copy, spool: Spool) -> str:
    """Bring the whole of URL into SPOOL; what it is called there."""
    for _ in range(RESUMES_MAX):
        began_bytes = spool.size_bytes
        try:
            return await _fetch_rest(outbound, url, copy, spool)
        except UnusableUrl as error:
            if not error.is_temporary or spool.size_bytes <= began_bytes:
                raise
    return await _fetch_rest(outbound, url, copy, spool)


async def _fetch_rest(outbound: Outbound, url: str, copy: Copy, spool: Spool) -> str:
    origin = spool.origin()
    offset = spool.size_bytes if origin is not None and origin.url == url and origin.etag else 0
    if origin is not None and offset and offset == origin.size_bytes:
        return origin.content_type
    wanted = Wanted(bytes_max=COPY_BYTES_MAX, types=copy.types, total_s=COPY_S_MAX)
    etag = origin.etag if origin is not None else ""
    async with outbound.open(url, "output", wanted, offset=offset, etag=etag) as incoming:
        if incoming.offset != spool.size_bytes:
            await spool.restart()
        if not incoming.offset:
            origin = Origin(
                url=url, etag=incoming.etag, size_bytes=incoming.size_bytes, content_type=incoming.content_type
            )
            spool.note(origin)
        async for piece in incoming:
            await spool.write(piece)
    assert origin is not None, "what does not begin at 0 goes on with what was noted"
    return origin.content_type
