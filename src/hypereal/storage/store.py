"""All SQL of the stored objects, and of their sums by owner.

A row is there before its bytes are, and until they are gone: PENDING is waited for, READY is an object, GONE is to be
removed. So bytes without a row can never be.
"""

from decimal import Decimal

import asyncpg
import msgspec

from hypereal.kit.db import Connection
from hypereal.kit.ids import AccountId, ObjectId


class NewRow(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is to come."""

    id: ObjectId
    kind: str
    key: str
    filename: str
    content_type: str
    size_bytes: int | None
    source: str | None
    parts_id: str | None
    upload_s: float


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What came."""

    content_type: str
    size_bytes: int
    sha256: str | None
    etag: str
    is_final: bool
    """False while its uploader can still put other bytes in their place."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to an owner's sums."""

    objects: int = 0
    size_bytes: int = 0
    reserved_bytes: int = 0


async def add(connection: Connection, owner_id: AccountId, row: NewRow) -> asyncpg.Record | None:
    """A new pending object. None where the owner has one of this source already."""
    return await connection.fetchrow(
        """
        INSERT INTO objects
            (owner_id, id, kind, key, filename, content_type, size_bytes, source, parts_id, upload_until)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + make_interval(secs => $10))
        ON CONFLICT (owner_id, source) WHERE source IS NOT NULL DO NOTHING RETURNING *
        """,
        owner_id,
        *(getattr(row, name) for name in NewRow.__struct_fields__),
    )


async def find(connection: Connection, owner_id: AccountId, object_id: ObjectId) -> asyncpg.Record | None:
    """An owner's object, pending or ready."""
    return await connection.fetchrow(
        "SELECT * FROM objects WHERE owner_id = $1 AND id = $2 AND state <> 'gone'", owner_id, object_id
    )


async def find_source(connection: Connection, owner_id: AccountId, source: str) -> asyncpg.Record | None:
    """An owner's object by what it is made of; one that is being removed too."""
    return await connection.fetchrow("SELECT * FROM objects WHERE owner_id = $1 AND source = $2", owner_id, source)


async def find_linked(connection: Connection, object_id: ObjectId) -> asyncpg.Record | None:
    """The object of a signed link, whoever owns it: the link is the permission."""
    return await connection.fetchrow("SELECT * FROM objects WHERE id = $1 AND state <> 'gone'", object_id)


async def list_ready(
    connection: Connection, owner_id: AccountId, kind: str | None, before: ObjectId | None, limit: int
) -> list[asyncpg.Record]:
    """The newest LIMIT objects that are older than BEFORE."""
    return await connection.fetch(
        """
        SELECT * FROM objects
        WHERE owner_id = $1 AND state = 'ready' AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        owner_id,
        kind,
        before,
        limit,
    )


async def list_pending(connection: Connection, owner_id: AccountId, limit: int) -> list[asyncpg.Record]:
    """The newest LIMIT uploads of an owner that have not come."""
    return await connection.fetch(
        "SELECT * FROM objects WHERE owner_id = $1 AND state = 'pending' ORDER BY id DESC LIMIT $2", owner_id, limit
    )


async def count_pending(connection: Connection, owner_id: AccountId, limit: int) -> int:
    """How many uploads of an owner have not come; at most LIMIT are counted."""
    count: int = await connection.fetchval(
        """
        SELECT count(*) FROM (SELECT 1 FROM objects WHERE owner_id = $1 AND state = 'pending' LIMIT $2) pending
        """,
        owner_id,
        limit,
    )
    return count


async def make_ready(
    connection: Connection, owner_id: AccountId, object_id: ObjectId, arrival: Arrival
) -> asyncpg.Record | None:
    """A pending object has come, as it was before. None where it is not pending."""
    return await connection.fetchrow(
        """
        UPDATE objects o
        SET state = 'ready', content_type = $3, size_bytes = $4, sha256 = $5, etag = $6, is_final = $7,
            ready_at = clock_timestamp(), parts_id = NULL
        FROM (SELECT id, size_bytes AS reserved_bytes FROM objects WHERE owner_id = $1 AND id = $2 FOR UPDATE) was
        WHERE o.id = was.id AND o.state = 'pending' RETURNING o.*, was.reserved_bytes
        """,
        owner_id,
        object_id,
        *(getattr(arrival, name) for name in Arrival.__struct_fields__),
    )


async def correct(
    connection: Connection, owner_id: AccountId, object_id: ObjectId, arrival: Arrival
) -> asyncpg.Record | None:
    """What a ready object is now, as it was before."""
    return await connection.fetchrow(
        """
        UPDATE objects o SET content_type = $3, size_bytes = $4, sha256 = $5, etag = $6, is_final = $7
        FROM (SELECT id, size_bytes AS was_bytes FROM objects WHERE owner_id = $1 AND id = $2 FOR UPDATE) was
        WHERE o.id = was.id AND o.state = 'ready' RETURNING o.*, was.was_bytes
        """,
        owner_id,
        object_id,
        *(getattr(arrival, name) for name in Arrival.__struct_fields__),
    )


async def make_gone(connection: Connection, owner_id: AccountId, object_id: ObjectId) -> asyncpg.Record | None:
    """An object is to be removed, as it was before. None where there is none."""
    return await connection.fetchrow(
        """
        UPDATE objects o SET state = 'gone', source = NULL
        FROM (SELECT id, state FROM objects WHERE owner_id = $1 AND id = $2 FOR UPDATE) was
        WHERE o.id = was.id AND was.state <> 'gone' RETURNING o.*, was.state AS was_state
        """,
        owner_id,
        object_id,
    )


async def remove(connection: Connection, object_id: ObjectId, *, is_direct: bool) -> None:
    """The bytes of a gone object are gone too. IS_DIRECT: not before its upload link has ended."""
    await connection.execute(
        """
        DELETE FROM objects
        WHERE id = $1 AND state = 'gone' AND (NOT $2 OR is_final OR upload_until < clock_timestamp())
        """,
        object_id,
        is_direct,
    )


async def list_gone(connection: Connection, limit: int, *, is_direct: bool) -> list[asyncpg.Record]:
    """At most LIMIT objects of all owners that are to be removed, as `remove` has it: for the sweep."""
    return await connection.fetch(
        """
        SELECT * FROM objects
        WHERE state = 'gone' AND (NOT $2 OR is_final OR upload_until < clock_timestamp()) ORDER BY id LIMIT $1
        """,
        limit,
        is_direct,
    )


async def list_overdue(connection: Connection, grace_s: float, limit: int) -> list[asyncpg.Record]:
    """At most LIMIT uploads of all owners whose time is over since GRACE_S: for the sweep."""
    return await connection.fetch(
        """
        SELECT * FROM objects
        WHERE NOT is_final AND state <> 'gone' AND upload_until < clock_timestamp() - make_interval(secs => $1)
        ORDER BY upload_until LIMIT $2
        """,
        grace_s,
        limit,
    )


async def list_retired(connection: Connection, kind: str, kept_s: float, limit: int) -> list[asyncpg.Record]:
    """At most LIMIT objects of KIND, of all owners, that are older than KEPT_S: for the sweep."""
    return await connection.fetch(
        """
        SELECT * FROM objects
        WHERE kind = $1 AND state = 'ready' AND ready_at < clock_timestamp() - make_interval(secs => $2)
        ORDER BY ready_at LIMIT $3
        """,
        kind,
        kept_s,
        limit,
    )


async def prolong(connection: Connection, owner_id: AccountId, object_id: ObjectId, upload_s: float) -> None:
    """Wait for a pending object for UPLOAD_S from now."""
    await connection.execute(
        """
        UPDATE objects SET upload_until = clock_timestamp() + make_interval(secs => $3)
        WHERE owner_id = $1 AND id = $2 AND state = 'pending'
        """,
        owner_id,
        object_id,
        upload_s,
    )


async def ensure_sums(connection: Connection, owner_id: AccountId) -> None:
    """The owner has sums."""
    await connection.execute(
        """
        INSERT INTO storage_sums (owner_id, objects, size_bytes, reserved_bytes) VALUES ($1, 0, 0, 0)
        ON CONFLICT DO NOTHING
        """,
        owner_id,
    )


async def change_sums(connection: Connection, owner_id: AccountId, change: Change) -> int:
    """Add CHANGE to the owner's sums; how many bytes the owner has then, with those reserved.

    Byte-seconds go on from what was there until now, so they are exact at any moment, with nobody counting.
    """
    total: int = await connection.fetchval(
        """
        UPDATE storage_sums
        SET byte_seconds = byte_seconds + size_bytes * greatest(0, extract(epoch FROM clock_timestamp() - counted_at)),
            counted_at = clock_timestamp(), objects = objects + $2, size_bytes = size_bytes + $3,
            reserved_bytes = reserved_bytes + $4
        WHERE owner_id = $1 RETURNING size_bytes + reserved_bytes
        """,
        owner_id,
        *(getattr(change, name) for name in Change.__struct_fields__),
    )
    return total


async def read_sums(connection: Connection, owner_id: AccountId) -> asyncpg.Record | None:
    """The owner's sums at this moment; None where nothing was ever stored."""
    return await connection.fetchrow(
        """
        SELECT objects, size_bytes, reserved_bytes, clock_timestamp() AS at,
            trunc(byte_seconds + size_bytes * greatest(0, extract(epoch FROM clock_timestamp() - counted_at)))
                AS byte_seconds
        FROM storage_sums WHERE owner_id = $1
        """,
        owner_id,
    )


async def list_unbilled(connection: Connection, after: AccountId, limit: int) -> list[AccountId]:
    """Of all owners who have stored something that is not billed yet, the next LIMIT after AFTER."""
    rows = await connection.fetch(
        """
        SELECT owner_id FROM storage_sums
        WHERE owner_id > $1 AND (size_bytes > 0 OR byte_seconds > billed_byte_seconds) ORDER BY owner_id LIMIT $2
        """,
        after,
        limit,
    )
    return [AccountId(row["owner_id"]) for row in rows]


async def bill(connection: Connection, owner_id: AccountId) -> Decimal:
    """Note that everything up to now is billed; the whole byte-seconds since the last time."""
    byte_seconds: Decimal | None = await connection.fetchval(
        """
        WITH former AS MATERIALIZED (SELECT * FROM storage_sums WHERE owner_id = $1 FOR UPDATE), now AS (
            SELECT greatest(billed_byte_seconds, trunc(byte_seconds
                + size_bytes * greatest(0, extract(epoch FROM clock_timestamp() - counted_at)))) AS until
            FROM former
        )
        UPDATE storage_sums s SET billed_byte_seconds = now.until FROM former, now
        WHERE s.owner_id = $1 RETURNING now.until - former.billed_byte_seconds
        """,
        owner_id,
    )
    return byte_seconds or Decimal(0)
