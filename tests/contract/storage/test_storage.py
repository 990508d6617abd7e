"""Objects announced, received, found and removed: one suite over every place for bytes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx2
import pytest
from tests.contract.storage.conftest import SECRET, OpenStorage
from tests.support.buckets import S3Server, section_of
from tests.support.sites import PNG

from hypereal.kit.db import Database
from hypereal.kit.errors import Conflict, InvalidRequest, NotFound, RequestTooLarge
from hypereal.kit.ids import AccountId, ObjectId, new_ordered_id
from hypereal.storage import (
    BucketAway,
    Kind,
    NewObject,
    Storage,
    StoredObject,
    Sums,
    open_bucket,
    open_storage,
    probe,
    spool,
    worker,
)
from hypereal.storage.buckets import Link
from hypereal.storage.receiving import Part, receive, received_bytes

GB = 10**9
Owner = Callable[[], Awaitable[AccountId]]


async def pieces(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def announce(storage: Storage, owner_id: AccountId, filename: str = "a.png", **facts: object) -> StoredObject:
    new = {"filename": filename, "content_type": "image/png", "kind": Kind.INPUT} | facts
    return await storage.announce(owner_id, NewObject(**new))  # type: ignore[arg-type]


async def put(storage: Storage, owner_id: AccountId, body: bytes = PNG, **facts: object) -> StoredObject:
    """An object that came through us."""
    pending = await announce(storage, owner_id, **facts)
    stored = await receive(storage, pending, Part(), pieces(body))
    assert isinstance(stored, StoredObject)
    return stored


async def put_by_link(storage: Storage, pending: StoredObject, body: bytes, **facts: object) -> httpx2.Response:
    """As a caller does who has a link to the bucket itself."""
    assert storage.bucket.direct is not None
    link = Link(method="PUT", key=pending.key, expires_s=60, **facts)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.put(storage.bucket.direct.link(link), content=body)


async def bytes_of(storage: Storage, stored: StoredObject) -> bytes:
    return b"".join([piece async for piece in storage.read(stored)])


async def differences(database: Database) -> list[asyncpg.Record]:
    """Owners whose sums are not those of their rows; there must be none."""
    async with database.connection() as connection:
        return await connection.fetch(
            """
            SELECT s.* FROM storage_sums s LEFT JOIN LATERAL (
                SELECT count(*) FILTER (WHERE state = 'ready') AS objects,
                    coalesce(sum(size_bytes) FILTER (WHERE state = 'ready'), 0) AS size_bytes,
                    coalesce(sum(size_bytes) FILTER (WHERE state = 'pending'), 0) AS reserved_bytes
                FROM objects o WHERE o.owner_id = s.owner_id
            ) r ON true
            WHERE (s.objects, s.size_bytes, s.reserved_bytes)
                IS DISTINCT FROM (r.objects, r.size_bytes, r.reserved_bytes)
            """
        )


def files_below(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def age(database: Database, column: str, by: timedelta) -> None:
    async with database.connection() as connection:
        await connection.execute(f"UPDATE objects SET {column} = {column} - $1::interval", by)


async def rows(database: Database) -> list[asyncpg.Record]:
    async with database.connection() as connection:
        return await connection.fetch("SELECT id, state FROM objects ORDER BY id")


async def test_what_was_announced_comes_and_is_found(storage: Storage, owner_id: AccountId, database: Database):
    pending = await announce(storage, owner_id, size_bytes=len(PNG))
    assert not pending.is_ready
    assert await storage.list_objects(owner_id, limit=9) == []
    assert await storage.sums(owner_id) == Sums(reserved_bytes=len(PNG))
    stored = await receive(storage, pending, Part(total=len(PNG)), pieces(PNG))
    assert isinstance(stored, StoredObject)
    assert (stored.size_bytes, stored.sha256) == (len(PNG), hashlib.sha256(PNG).hexdigest())
    assert await bytes_of(storage, stored) == PNG
    assert await storage.find(owner_id, stored.id) == stored
    assert await storage.list_objects(owner_id, limit=9) == [stored]
    found = await storage.sums(owner_id)
    assert (found.objects, found.size_bytes, found.reserved_bytes) == (1, len(PNG), 0)
    assert await differences(database) == []


async def test_an_empty_object_is_one(storage: Storage, owner_id: AccountId):
    stored = await put(storage, owner_id, b"", content_type="text/plain", size_bytes=0)
    assert (stored.size_bytes, stored.content_type) == (0, "text/plain")
    assert await bytes_of(storage, stored) == b""


async def test_parts_of_it_are_read(storage: Storage, owner_id: AccountId):
    stored = await put(storage, owner_id)
    for start, end in ((0, 1), (10, 100), (len(PNG) - 1, len(PNG)), (5, 5)):
        assert b"".join([piece async for piece in storage.read(stored, start, end)]) == PNG[start:end]


@pytest.mark.parametrize(
    ("body", "declared", "pinned"),
    [
        (PNG, "text/html", "image/png"),
        (b"<html><script>", "image/png", "text/html"),
        (b"no image", "image/png", "application/octet-stream"),
        (b'{"a": 1}', "application/json; charset=utf-8", "application/json"),
        (b"\0weights", "", "application/octet-stream"),
    ],
)
async def test_the_type_is_what_is_seen(body: bytes, declared: str, pinned: str, storage: Storage, owner_id: AccountId):
    assert (await put(storage, owner_id, body, content_type=declared)).content_type == pinned


@pytest.mark.parametrize(
    "filename", ["../../etc/passwd", "..\\..\\x", "/", "", "a\r\nb: c.png", ".", "é" * 300 + ".png", "\0", "a" * 999]
)
async def test_no_name_leads_out_of_its_place(filename: str, storage: Storage, owner_id: AccountId):
    stored = await put(storage, owner_id, filename=filename)
    assert stored.key.startswith(f"{owner_id}/input/{stored.id}/")
    name = stored.key.rpartition("/")[2]
    assert name.isascii() and name not in ("", ".", "..") and len(name) <= 200
    assert stored.filename.isprintable() and "/" not in stored.filename and len(stored.filename.encode()) <= 200
    assert await bytes_of(storage, stored) == PNG


async def test_what_is_others_is_not_there(storage: Storage, owner_id: AccountId, new_owner: Owner):
    stored, other = await put(storage, owner_id), await new_owner()
    for work in (storage.find, storage.complete, storage.delete):
        with pytest.raises(NotFound):
            await work(other, stored.id)
    assert await storage.list_objects(other, limit=9) == []
    assert await storage.sums(other) == Sums()
    assert await bytes_of(storage, await storage.find(owner_id, stored.id)) == PNG


async def test_lists_go_on_where_they_ended_newest_first(storage: Storage, owner_id: AccountId):
    made = []
    for number in range(5):
        kind = Kind.LORA if number % 2 else Kind.DATASET
        made.append((await put(storage, owner_id, b"%d" % number, filename=f"{number}", kind=kind)).id)
        await asyncio.sleep(0.002)  # ids go by the millisecond
    first = await storage.list_objects(owner_id, limit=2)
    rest = await storage.list_objects(owner_id, before=first[-1].id, limit=9)
    assert [stored.id for stored in first + rest] == made[::-1]
    assert [stored.id for stored in await storage.list_objects(owner_id, kind=Kind.LORA, limit=9)] == made[3::-2]


async def test_deleting_removes_the_bytes(
    kind: str, storage: Storage, owner_id: AccountId, database: Database, s3_server: S3Server, tmp_path: Path
):
    stored = await put(storage, owner_id)
    await storage.delete(owner_id, stored.id)
    for work in (storage.find, storage.delete):
        with pytest.raises(NotFound):
            await work(owner_id, stored.id)
    with pytest.raises(NotFound):
        await bytes_of(storage, stored)
    held = s3_server.files() if kind == "s3" else files_below(tmp_path)
    assert not [path for path in held if stored.id in str(path)]
    assert await rows(database) == []
    found = await storage.sums(owner_id)
    assert (found.objects, found.size_bytes, found.reserved_bytes) == (0, 0, 0)
    assert await differences(database) == []


async def test_two_come_at_once(storage: Storage, owner_id: AccountId, database: Database):
    bodies = [bytes([number]) * 3_000_000 for number in range(4)]
    stored = await asyncio.gather(*(put(storage, owner_id, body, content_type="x/y") for body in bodies))
    for one, body in zip(stored, bodies, strict=True):
        assert await bytes_of(storage, one) == body
    assert (await storage.sums(owner_id)).size_bytes == 12_000_000
    assert await differences(database) == []


async def test_one_object_is_written_by_one_at_a_time(storage: Storage, owner_id: AccountId):
    pending, began, go_on = await announce(storage, owner_id), asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield PNG[:100]
        began.set()
        await go_on.wait()
        yield PNG[100:]

    first = asyncio.create_task(receive(storage, pending, Part(), slowly()))
    await began.wait()
    with pytest.raises(Conflict, match="Somebody else"):
        await receive(storage, pending, Part(), pieces(b"x" * 9))
    go_on.set()
    stored = await first
    assert isinstance(stored, StoredObject)
    assert await bytes_of(storage, stored) == PNG
    with pytest.raises(Conflict, match="there already"):
        await receive(storage, stored, Part(), pieces(b"x"))


async def test_an_upload_that_breaks_off_is_gone_on_with(open_one: OpenStorage, owner_id: AccountId):
    storage = open_one()
    pending = await announce(storage, owner_id, size_bytes=len(PNG))

    async def breaks_off() -> AsyncIterator[bytes]:
        yield PNG[:700]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await receive(storage, pending, Part(total=len(PNG)), breaks_off())
    assert await storage.list_objects(owner_id, limit=9) == []
    assert received_bytes(storage, pending) == 700
    another = open_one()  # the process may have died as well
    with pytest.raises(Conflict, match="700 bytes") as conflict:
        await receive(another, pending, Part(start=600, is_whole=False), pieces(PNG[600:]))
    assert conflict.value.headers == {"upload-offset": "700"}
    assert await receive(another, pending, Part(start=700, is_whole=False), pieces(PNG[700:900])) == 900
    stored = await receive(another, pending, Part(start=900, is_whole=False), pieces(PNG[900:]))
    assert isinstance(stored, StoredObject)
    assert stored.sha256 == hashlib.sha256(PNG).hexdigest()
    assert await bytes_of(another, stored) == PNG


async def test_an_upload_that_is_sent_again_begins_anew(storage: Storage, owner_id: AccountId):
    pending = await announce(storage, owner_id)

    async def breaks_off() -> AsyncIterator[bytes]:
        yield b"something else" * 100
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await receive(storage, pending, Part(), breaks_off())
    stored = await receive(storage, pending, Part(), pieces(PNG))
    assert isinstance(stored, StoredObject)
    assert (stored.sha256, await bytes_of(storage, stored)) == (hashlib.sha256(PNG).hexdigest(), PNG)


async def test_no_more_comes_than_was_announced_and_no_less(storage: Storage, owner_id: AccountId):
    pending = await announce(storage, owner_id, size_bytes=100)
    with pytest.raises(RequestTooLarge):
        await receive(storage, pending, Part(total=101), pieces(b"x" * 101))
    with pytest.raises(RequestTooLarge):
        await receive(storage, pending, Part(), pieces(b"x" * 101, 10))
    with pytest.raises(InvalidRequest, match="99 bytes came"):
        await receive(storage, pending, Part(), pieces(b"x" * 99))
    assert received_bytes(storage, pending) == 0
    assert not (await storage.find(owner_id, pending.id)).is_ready


async def test_a_quota_holds_for_what_was_announced_and_what_comes(
    open_one: OpenStorage, owner_id: AccountId, database: Database
):
    storage = open_one(quota_gb=1)
    await announce(storage, owner_id, size_bytes=GB - 100)
    with pytest.raises(RequestTooLarge, match="storage is full"):
        await announce(storage, owner_id, size_bytes=101)
    pending = await announce(storage, owner_id)
    with pytest.raises(RequestTooLarge, match="Only 100 bytes"):
        await receive(storage, pending, Part(), pieces(b"x" * 101, 10))
    stored = await receive(storage, pending, Part(), pieces(b"x" * 100))
    assert isinstance(stored, StoredObject)
    with pytest.raises(RequestTooLarge):
        await announce(storage, owner_id, size_bytes=1)
    await storage.delete(owner_id, stored.id)
    await announce(storage, owner_id, size_bytes=100)
    assert await differences(database) == []


async def test_a_quota_is_not_passed_by_many_at_once(open_one: OpenStorage, owner_id: AccountId, database: Database):
    storage = open_one(quota_gb=1)
    done = await asyncio.gather(
        *(announce(storage, owner_id, size_bytes=GB // 10) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(one, StoredObject) for one in done) == 10
    assert all(isinstance(one, StoredObject | RequestTooLarge) for one in done)
    assert await differences(database) == []


async def test_outputs_count_but_are_never_refused(open_one: OpenStorage, owner_id: AccountId):
    storage = open_one(quota_gb=1)
    await announce(storage, owner_id, size_bytes=GB)
    stored = await put(storage, owner_id, kind=Kind.OUTPUT, size_bytes=len(PNG))
    assert stored.is_ready
    assert (await storage.sums(owner_id)).size_bytes == len(PNG)


async def test_byte_seconds_are_counted_by_themselves(storage: Storage, owner_id: AccountId, database: Database):
    stored = await put(storage, owner_id, b"x" * 1000, content_type="x/y")
    async with database.connection() as connection:
        await connection.execute("UPDATE storage_sums SET counted_at = counted_at - interval '1 day'")
    counted = (await storage.sums(owner_id)).byte_seconds
    assert 86_400_000 <= counted < 86_500_000
    await storage.delete(owner_id, stored.id)
    async with database.connection() as connection:
        await connection.execute("UPDATE storage_sums SET counted_at = counted_at - interval '1 day'")
    assert counted <= (await storage.sums(owner_id)).byte_seconds < 86_500_000


async def test_a_deleted_upload_stays_deleted_however_late_it_comes(
    storage: Storage, owner_id: AccountId, database: Database, tmp_path: Path
):
    pending, began, go_on = await announce(storage, owner_id), asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield PNG
        began.set()
        await go_on.wait()

    coming = asyncio.create_task(receive(storage, pending, Part(), slowly()))
    await began.wait()
    await storage.delete(owner_id, pending.id)
    go_on.set()
    with pytest.raises(NotFound):
        await coming
    assert await storage.bucket.stat(pending.key) is None
    assert await storage.list_objects(owner_id, limit=9) == []
    assert await differences(database) == []


async def test_an_upload_that_never_came_is_swept(storage: Storage, owner_id: AccountId, database: Database):
    old = await announce(storage, owner_id, size_bytes=100)
    await age(database, "upload_until", timedelta(hours=31))
    new = await announce(storage, owner_id)
    await worker.sweep(storage)
    with pytest.raises(NotFound):
        await storage.find(owner_id, old.id)
    assert [row["id"] for row in await rows(database)] == [new.id]
    assert await storage.sums(owner_id) == Sums()


async def test_what_came_without_a_word_is_kept_by_the_sweep(
    storage: Storage, owner_id: AccountId, database: Database, tmp_path: Path
):
    """A process died between the bytes and the row; or its uploader never told us."""
    pending = await announce(storage, owner_id)
    file = tmp_path / "came"
    file.write_bytes(PNG)
    await storage.bucket.put(pending.key, file, "image/png")
    await age(database, "upload_until", timedelta(hours=31))
    await worker.sweep(storage)
    [stored] = await storage.list_objects(owner_id, limit=9)
    assert (stored.id, stored.size_bytes, stored.is_final) == (pending.id, len(PNG), True)
    assert await differences(database) == []


async def test_outputs_end_with_their_retention(open_one: OpenStorage, owner_id: AccountId, database: Database):
    storage = open_one(output_days=7)
    outputs = [await put(storage, owner_id, kind=Kind.OUTPUT) for _ in range(2)]
    kept = await put(storage, owner_id, kind=Kind.LORA)
    await age(database, "ready_at", timedelta(days=6))
    await worker.sweep(storage)
    assert len(await storage.list_objects(owner_id, limit=9)) == 3
    await age(database, "ready_at", timedelta(days=2))
    await worker.sweep(storage)
    assert [stored.id for stored in await storage.list_objects(owner_id, limit=9)] == [kept.id]
    with pytest.raises(NotFound):
        await bytes_of(storage, outputs[0])
    await worker.sweep(open_one())  # no retention
    assert len(await rows(database)) == 1


async def test_a_link_names_its_object_and_no_other(open_one: OpenStorage, owner_id: AccountId):
    storage = open_one()
    stored, other = await put(storage, owner_id), await put(storage, owner_id)
    path = storage.links.download(stored.id, "é a.png")
    assert await storage.find_by_url("https://any.example" + path) == stored
    for wrong in (
        path.replace(stored.id, other.id),
        path[:-1],
        path.replace("/files/", "/uploads/"),
        path.partition("?")[0],
        "http://[::1",
        "",
        storage.links.upload(stored.id, 2**40),
    ):
        assert await storage.find_by_url(wrong) is None
    signature = storage.links.upload(stored.id, 100).rpartition("=")[2]
    assert storage.links.may_upload(stored.id, "100", signature, 99.0)
    assert not storage.links.may_upload(stored.id, "100", signature, 101.0)
    assert not storage.links.may_upload(stored.id, "200", signature, 99.0)
    await storage.delete(owner_id, stored.id)
    assert await storage.find_by_url("https://any.example" + path) is None


async def test_only_so_many_uploads_are_open(storage: Storage, owner_id: AccountId, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hypereal.storage.storage.PENDING_MAX", 3)
    for _ in range(3):
        await announce(storage, owner_id)
    with pytest.raises(Conflict, match="3 uploads are open"):
        await announce(storage, owner_id)


async def test_what_is_left_on_the_disk_is_swept(storage: Storage, tmp_path: Path):
    left = await spool.open_spool(storage.folder, ObjectId(new_ordered_id("obj")))
    await left.write(b"x")
    await left.close()
    spool.sweep(storage.folder)
    assert left.path.exists()
    spool.sweep(storage.folder, lambda: left.path.stat().st_mtime + spool.LEFT_S_MAX + 1)
    assert not left.path.exists()


# -- straight to the bucket --------------------------------------------------------------------------------------------


in_a_bucket = pytest.mark.parametrize("kind", ["s3"])


@pytest.fixture
def direct(storage: Storage) -> Storage:
    assert storage.bucket.direct is not None
    return storage


@in_a_bucket
async def test_what_was_put_into_the_bucket_is_found(direct: Storage, owner_id: AccountId, database: Database):
    one, two = await announce(direct, owner_id), await announce(direct, owner_id, filename="b")
    assert (await put_by_link(direct, one, PNG)).is_success
    assert (await put_by_link(direct, two, b"<html>")).is_success
    stored = await direct.list_objects(owner_id, limit=9)
    assert {(each.id, each.content_type, each.size_bytes) for each in stored} == {
        (one.id, "image/png", len(PNG)),
        (two.id, "text/html", 6),
    }
    assert await differences(database) == []


@in_a_bucket
async def test_a_link_to_the_bucket_allows_what_it_says_and_no_more(
    direct: Storage, owner_id: AccountId, monkeypatch: pytest.MonkeyPatch
):
    pending = await announce(direct, owner_id)
    bucket = direct.bucket.direct
    assert bucket is not None
    url = bucket.link(Link(method="PUT", key=pending.key, expires_s=60))
    other = await announce(direct, owner_id)
    async with httpx2.AsyncClient(trust_env=False) as client:
        for wrong in (
            url.replace(pending.key, other.key),
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
            url.partition("?")[0],
        ):
            assert (await client.put(wrong, content=PNG)).status_code == 403
        assert (await client.get(url)).status_code == 403
        monkeypatch.setattr("hypereal.storage.buckets.s3.time.time", lambda: 1_700_000_000.0)
        ended = bucket.link(Link(method="PUT", key=pending.key, expires_s=60))
        monkeypatch.undo()
        assert (await client.put(ended, content=PNG)).status_code == 403
    assert await direct.list_objects(owner_id, limit=9) == []


@in_a_bucket
async def test_bytes_that_were_put_later_are_counted_in_the_end(
    direct: Storage, owner_id: AccountId, database: Database
):
    pending = await announce(direct, owner_id)
    await put_by_link(direct, pending, PNG)
    assert (await direct.find(owner_id, pending.id)).size_bytes == len(PNG)
    await put_by_link(direct, pending, b"x" * 50_000)
    await age(database, "upload_until", timedelta(hours=31))
    await worker.sweep(direct)
    stored = await direct.find(owner_id, pending.id)
    assert (stored.size_bytes, stored.content_type, stored.is_final) == (50_000, "application/octet-stream", True)
    assert (await direct.sums(owner_id)).size_bytes == 50_000
    assert await differences(database) == []


@in_a_bucket
async def test_bytes_that_were_put_after_a_delete_are_removed(direct: Storage, owner_id: AccountId, database: Database):
    pending = await announce(direct, owner_id)
    await direct.delete(owner_id, pending.id)
    await put_by_link(direct, pending, PNG)
    assert await direct.list_objects(owner_id, limit=9) == []
    await age(database, "upload_until", timedelta(hours=31))
    await worker.sweep(direct)
    assert await direct.bucket.stat(pending.key) is None
    assert await rows(database) == []


@in_a_bucket
async def test_over_the_quota_nothing_stays_in_the_bucket(
    open_one: OpenStorage, direct: Storage, owner_id: AccountId, database: Database
):
    storage = open_one(quota_gb=1)
    await announce(storage, owner_id, size_bytes=GB)
    pending = await announce(storage, owner_id)
    await put_by_link(storage, pending, PNG)
    with pytest.raises(RequestTooLarge):
        await storage.find(owner_id, pending.id)
    assert await storage.bucket.stat(pending.key) is None
    assert await differences(database) == []


@in_a_bucket
async def test_a_large_object_comes_in_parts(direct: Storage, owner_id: AccountId, s3_server: S3Server):
    pending = await announce(direct, owner_id, size_bytes=11_000_000, is_in_parts=True, content_type="x/y")
    assert pending.parts_id is not None
    parts = [b"a" * 5_000_000, b"b" * 5_000_000, b"c" * 1_000_000]
    with pytest.raises(InvalidRequest, match="No part"):
        await direct.complete(owner_id, pending.id)
    answers = await asyncio.gather(
        *(put_by_link(direct, pending, parts[at], part=(pending.parts_id, at + 1)) for at in (2, 0, 1))
    )
    assert all(answer.is_success for answer in answers)
    assert await direct.list_objects(owner_id, limit=9) == []
    stored = await direct.complete(owner_id, pending.id)
    assert stored.size_bytes == 11_000_000
    assert await bytes_of(direct, stored) == b"".join(parts)
    assert stored.parts_id is None


@in_a_bucket
async def test_parts_that_nobody_completes_are_removed(
    direct: Storage, owner_id: AccountId, database: Database, s3_server: S3Server
):
    pending = await announce(direct, owner_id, size_bytes=11_000_000, is_in_parts=True)
    assert pending.parts_id is not None
    await put_by_link(direct, pending, b"a" * 1000, part=(pending.parts_id, 1))
    assert [path for path in s3_server.files() if pending.parts_id in str(path)]
    await age(database, "upload_until", timedelta(hours=31))
    await worker.sweep(direct)
    assert not [path for path in s3_server.files() if pending.parts_id in str(path)]
    assert await rows(database) == []


async def test_a_bucket_that_is_away_is_waited_for(database: Database, owner_id: AccountId, tmp_path: Path):
    own = S3Server()
    storage = open_storage(database, section_of("s3", own), tmp_path, SECRET)
    try:
        stored = await put(storage, owner_id)
        own.stop()
        with pytest.raises(BucketAway) as away:
            await bytes_of(storage, stored)
        assert str(own.port) not in away.value.message
        await storage.delete(owner_id, stored.id)
        with pytest.raises(NotFound):
            await storage.find(owner_id, stored.id)
        assert [row["state"] for row in await rows(database)] == ["gone"]
        own.start()
        await worker.sweep(storage)
        assert await rows(database) == []
        assert await storage.bucket.stat(stored.key) is None
    finally:
        await storage.bucket.close()
        own.close()


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"access_key_id": "AKIDWRONG"}, "check [storage] access_key_id"),
        ({"secret_access_key": "wrong"}, "check [storage] secret_access_key"),
        ({"url": "s3://missing?endpoint=http://127.0.0.1:{port}"}, "there is no bucket missing: make it"),
        ({"url": "s3://stored?endpoint=http://127.0.0.1:9"}, "it does not answer: check the endpoint"),
        ({"url": "s3://stored?endpoint=https://127.0.0.1:{port}"}, "it does not answer: check the endpoint"),
    ],
)
async def test_a_bucket_that_cannot_be_used_says_what_to_mend(changes, mend: str, s3_server: S3Server, tmp_path: Path):
    changes = {name: value.format(port=s3_server.port) for name, value in changes.items()}
    bucket = open_bucket(section_of("s3", s3_server, **changes), tmp_path)
    with pytest.raises(BucketAway) as away:
        await probe(bucket)
    await bucket.close()
    assert mend in away.value.why
    assert "127.0.0.1" not in away.value.message, "callers are not told where"


async def test_a_bucket_that_can_be_used_is_left_as_it_was(s3_server: S3Server, tmp_path: Path):
    before = s3_server.files()
    bucket = open_bucket(section_of("s3", s3_server), tmp_path)
    await probe(bucket)
    await bucket.close()
    assert s3_server.files() == before
