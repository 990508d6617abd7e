"""Stored objects: announced, found, deleted. One `Storage` a process; `receiving.py` and `outputs.py` fill it.

An object is a row and bytes in a bucket. The row comes first and goes last.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec

from hypereal import ledger
from hypereal.kit import log, media_types
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.errors import Conflict, HyperealError, InsufficientCredits, NotFound, RequestTooLarge
from hypereal.kit.ids import AccountId, ObjectId, new_ordered_id
from hypereal.kit.settings import StorageSection
from hypereal.storage import spool, store
from hypereal.storage.buckets import Bucket
from hypereal.storage.faults import BucketAway
from hypereal.storage.links import Links
from hypereal.storage.objects import GB, Kind, StoredObject, Sums, key_of, object_of, plain_filename

UPLOAD_S = 24 * 3600
"""How long an announced upload may take to begin; one in pieces, to end."""
PENDING_MAX = 1_000
"""Uploads of one owner."""
LOOKED_AFTER_MAX = 20
"""Uploads that a list looks after, since who uploads straight to a bucket need not tell us."""


class NewObject(msgspec.Struct, frozen=True, kw_only=True):
    """What is announced."""

    filename: str
    content_type: str
    kind: Kind
    size_bytes: int | None = None
    source: str | None = None
    """What it is made of; an owner has one object of each."""
    is_in_parts: bool = False


class Storage:
    """The objects of all owners. FOLDER is for what is still coming, on this host."""

    def __init__(
        self, database: Database, bucket: Bucket, links: Links, settings: StorageSection, folder: Path
    ) -> None:
        self.bucket = bucket
        self.links = links
        self.folder = folder
        self.settings = settings
        self.database = database

    @property
    def quota_bytes(self) -> int | None:
        """What one owner may have."""
        return None if self.settings.quota_gb is None else self.settings.quota_gb * GB

    # -- announcing ------------------------------------------------------------------------------------------------

    async def announce(self, owner_id: AccountId, new: NewObject) -> StoredObject:
        """A row for an object that is to come; what it is said to measure is reserved.

        Raises RequestTooLarge over the quota, Conflict for too many uploads that never came, InsufficientCredits where
        storing costs something and the wallet is empty.
        """
        object_id = ObjectId(new_ordered_id("obj"))
        filename = plain_filename(new.filename)
        content_type = media_types.essence(new.content_type) or media_types.UNKNOWN
        key = key_of(owner_id, new.kind, object_id, filename)
        parts_id = None
        if new.is_in_parts and self.bucket.direct is not None:
            parts_id = await self.bucket.direct.begin_parts(key, content_type)
        row = store.NewRow(
            id=object_id,
            kind=new.kind,
            key=key,
            filename=filename,
            content_type=content_type,
            size_bytes=new.size_bytes,
            source=new.source,
            parts_id=parts_id,
            upload_s=UPLOAD_S,
        )
        try:
            return await self._announce(owner_id, row)
        except BaseException:
            if parts_id is not None and self.bucket.direct is not None:
                await self.bucket.direct.drop_parts(key, parts_id)
            raise

    async def _announce(self, owner_id: AccountId, row: store.NewRow) -> StoredObject:
        if self.settings.price_gb_month and row.kind != Kind.OUTPUT:
            await self._check_credit(owner_id)
        async with self.database.transaction() as connection:
            await store.ensure_sums(connection, owner_id)
            change = store.Change(reserved_bytes=row.size_bytes or 0)
            self._check_quota(await store.change_sums(connection, owner_id, change), Kind(row.kind))
            if row.source is None and await store.count_pending(connection, owner_id, PENDING_MAX) == PENDING_MAX:
                raise Conflict(f"{PENDING_MAX} uploads are open. Finish or delete some, or wait a day.")
            added = await store.add(connection, owner_id, row)
            if added is None:
                raise Conflict("There is an object of this source already.")
        return object_of(added)

    async def announce_once(self, owner_id: AccountId, new: NewObject) -> StoredObject:
        """The owner's object of this source, pending or ready; announced where there is none."""
        assert new.source is not None
        try:
            return await self.announce(owner_id, new)
        except Conflict:
            async with self.database.connection() as connection:
                row = await store.find_source(connection, owner_id, new.source)
            if row is None:
                raise
        await self.prolong(object_of(row), UPLOAD_S)
        return object_of(row)

    async def prolong(self, pending: StoredObject, upload_s: float) -> None:
        """Wait for a pending object for UPLOAD_S from now: it comes on."""
        async with self.database.connection() as connection:
            await store.prolong(connection, pending.owner_id, pending.id, upload_s)

    async def _check_credit(self, owner_id: AccountId) -> None:
        if (await ledger.balance(self.database, owner_id)).ledger <= 0:
            raise InsufficientCredits("Storing files costs credits, and the wallet has none. Top up first.")

    def _check_quota(self, total_bytes: int, kind: Kind) -> None:
        """Outputs count, but are never refused: they are paid for, and would be lost."""
        quota_bytes = self.quota_bytes
        if quota_bytes is not None and total_bytes > quota_bytes and kind is not Kind.OUTPUT:
            raise RequestTooLarge(
                f"The account's storage is full: {quota_bytes} bytes are allowed. Delete what is not needed."
            )

    # -- finding ---------------------------------------------------------------------------------------------------

    async def find(self, owner_id: AccountId, object_id: ObjectId) -> StoredObject:
        """An owner's object, looked after where it is pending. Raises NotFound."""
        async with self.database.connection() as connection:
            row = await store.find(connection, owner_id, object_id)
        return await self.settled(_there(row))

    async def find_linked(self, object_id: ObjectId) -> StoredObject:
        """The object of a signed link, pending or ready. Raises NotFound."""
        async with self.database.connection() as connection:
            row = await store.find_linked(connection, object_id)
        return _there(row)

    async def find_by_url(self, url: str) -> StoredObject | None:
        """The object that one of our own download links names, so that nobody need fetch it; None for any other URL."""
        object_id = self.links.object_of(url)
        if object_id is None:
            return None
        try:
            found = await self.settled(await self.find_linked(object_id))
        except NotFound:
            return None
        return found if found.is_ready else None

    async def list_objects(
        self, owner_id: AccountId, *, kind: Kind | None = None, before: ObjectId | None = None, limit: int
    ) -> list[StoredObject]:
        """The newest LIMIT objects that are older than BEFORE."""
        if self.bucket.direct is not None and before is None:
            await self._look_after(owner_id)
        async with self.database.connection() as connection:
            rows = await store.list_ready(connection, owner_id, kind, before, limit)
        return [object_of(row) for row in rows]

    async def _look_after(self, owner_id: AccountId) -> None:
        async with self.database.connection() as connection:
            rows = await store.list_pending(connection, owner_id, LOOKED_AFTER_MAX)
        try:
            await asyncio.gather(*(self.settled(object_of(row)) for row in rows))
        except HyperealError as error:  # what is listed already stays so
            log.get("storage").warning("uploads are not looked after", error=str(error.__cause__ or error))

    async def sums(self, owner_id: AccountId) -> Sums:
        """What the owner has at this moment."""
        async with self.database.connection() as connection:
            row = await store.read_sums(connection, owner_id)
        return Sums() if row is None else Sums(**{name: int(row[name]) for name in Sums.__struct_fields__})

    def read(self, stored: StoredObject, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a ready object. Raises BucketAway, NotFound."""
        assert stored.size_bytes is not None
        return self.bucket.read(stored.key, start, stored.size_bytes if end is None else end)

    # -- arriving --------------------------------------------------------------------------------------------------

    async def complete(self, owner_id: AccountId, object_id: ObjectId) -> StoredObject:
        """Its uploader says that it is whole. Raises NotFound, Conflict where nothing came."""
        found = await self.find(owner_id, object_id)
        if not found.is_ready and found.parts_id is not None and self.bucket.direct is not None:
            await self.bucket.direct.complete_parts(found.key, found.parts_id)
            found = await self.settled(found)
        if not found.is_ready:
            raise Conflict("Nothing has been uploaded yet.")
        return found

    async def settled(self, found: StoredObject) -> StoredObject:
        """A pending object is made ready where its bytes are in the bucket. Raises NotFound where they may not be."""
        if found.is_ready:
            return found
        arrival = await self.arrival(found)
        return found if arrival is None else await self.arrive(found, arrival)

    async def arrival(self, found: StoredObject) -> store.Arrival | None:
        """What is in the bucket now; None where nothing is."""
        stat = await self.bucket.stat(found.key)
        if stat is None:
            return None
        return store.Arrival(
            content_type=await self._type_of(found, stat.size_bytes),
            size_bytes=stat.size_bytes,
            sha256=None,
            etag=stat.etag,
            is_final=self.bucket.direct is None or found.upload_until < utc_now(),
        )

    async def _type_of(self, found: StoredObject, size_bytes: int) -> str:
        head = b""
        async for piece in self.bucket.read(found.key, 0, min(size_bytes, media_types.SNIFFED_BYTES)):
            head += piece
        return media_types.settle(found.content_type, head)

    async def arrive(self, found: StoredObject, arrival: store.Arrival) -> StoredObject:
        """The bytes of FOUND are in the bucket: it is ready.

        Where they may not be there they are removed. Raises RequestTooLarge over the quota, NotFound where it was
        deleted meanwhile.
        """
        if found.parts_id is not None and self.bucket.direct is not None:
            await self.bucket.direct.drop_parts(found.key, found.parts_id)
        try:
            async with self.database.transaction() as connection:
                row = await store.make_ready(connection, found.owner_id, found.id, arrival)
                if row is not None:
                    reserved_bytes = row["reserved_bytes"] or 0
                    change = store.Change(objects=1, size_bytes=arrival.size_bytes, reserved_bytes=-reserved_bytes)
                    self._check_quota(await store.change_sums(connection, found.owner_id, change), found.kind)
        except RequestTooLarge:
            await self.delete(found.owner_id, found.id)
            raise
        if row is not None:
            return object_of(row)
        try:
            return await self.find_linked(found.id)  # somebody was sooner
        except NotFound:
            await self.bucket.delete([found.key])
            raise

    # -- removing --------------------------------------------------------------------------------------------------

    async def delete(self, owner_id: AccountId, object_id: ObjectId) -> None:
        """Nobody finds it from now on; its bytes are removed now, or by the sweep where the bucket is away.

        Raises NotFound.
        """
        async with self.database.transaction() as connection:
            row = await store.make_gone(connection, owner_id, object_id)
            if row is None:
                raise NotFound("There is no such object.")
            size_bytes = row["size_bytes"] or 0
            was_ready = row["was_state"] == "ready"
            change = (
                store.Change(objects=-1, size_bytes=-size_bytes)
                if was_ready
                else store.Change(reserved_bytes=-size_bytes)
            )
            await store.change_sums(connection, owner_id, change)
        try:
            await self.erase(object_of(row))
        except BucketAway as error:
            log.get("storage").warning("an object is removed later", id=object_id, error=error.why)

    async def erase(self, gone: StoredObject) -> None:
        """Remove the bytes of a gone object, then its row. Raises BucketAway.

        The row stays while somebody may still upload by a link to the bucket itself: the sweep removes that too.
        """
        if gone.parts_id is not None and self.bucket.direct is not None:
            await self.bucket.direct.drop_parts(gone.key, gone.parts_id)
        await self.bucket.delete([gone.key])
        await asyncio.to_thread(spool.forget, self.folder, gone.id)
        async with self.database.connection() as connection:
            await store.remove(connection, gone.id, is_direct=self.bucket.direct is not None)


def _there(row: asyncpg.Record | None) -> StoredObject:
    if row is None:
        raise NotFound("There is no such object.")
    return object_of(row)
