"""What jobs made, copied in from sites that break off, change, lie, and are inside: over every place for bytes."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.contract.storage.conftest import OpenStorage
from tests.support.sites import Site, site_at

from hypereal.kit.errors import Conflict, UnusableUrl
from hypereal.kit.ids import AccountId
from hypereal.kit.outbound import Outbound, read_allowed
from hypereal.storage import Copy, Kind, Storage, StoredObject, outputs, store_output
from hypereal.storage.spool import size_of

VIDEO = b"\0\0\0\x18ftypisom" + os.urandom(3_000_000)
COPY = Copy(name="job_1/0", filename="clip.mp4", types=("video/",))
WORLD, INSIDE = "127.0.0.2", "127.0.0.1"


@pytest_asyncio.fixture
async def world() -> AsyncIterator[Site]:
    async with site_at(WORLD) as site:
        yield site


@pytest_asyncio.fixture
async def outbound() -> AsyncIterator[Outbound]:
    client = Outbound(read_allowed([WORLD]))
    yield client
    await client.close()


class Source:
    """A site's file, sent up to `cut`; the rest of it on request."""

    def __init__(self, site: Site, body: bytes = VIDEO, *, etag: str = '"1"') -> None:
        self.body = body
        self.etag = etag
        self.cuts: list[int] = []
        """Where the next answers break off."""
        self.started: list[int] = []
        """Where each answer began."""
        self.on_cut = asyncio.Event()
        self.url = f"http://{WORLD}:{site.port}/clip"
        site.answers["/clip"] = self._answer

    async def _answer(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        asked = head.lower().partition(b"\r\nrange: bytes=")[2].partition(b"-")[0]
        is_same = self.etag.encode() in head
        start = int(asked) if asked and is_same else 0
        self.started.append(start)
        status = "206 X" if start else "200 OK"
        lines = [f"HTTP/1.1 {status}", "Content-Type: video/mp4", f"Content-Length: {len(self.body) - start}"]
        lines += [f"ETag: {self.etag}"] if self.etag else []
        lines += [f"Content-Range: bytes {start}-{len(self.body) - 1}/{len(self.body)}"] if start else []
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        end = self.cuts.pop(0) if self.cuts else len(self.body)
        writer.write(self.body[start:end])
        await writer.drain()
        if end < len(self.body):
            self.on_cut.set()
            writer.close()


async def bytes_of(storage: Storage, stored: StoredObject) -> bytes:
    return b"".join([piece async for piece in storage.read(stored)])


async def test_an_output_is_copied_in_once(storage: Storage, outbound: Outbound, owner_id: AccountId, world: Site):
    source = Source(world)
    stored = await store_output(storage, outbound, owner_id, source.url, COPY)
    assert (stored.kind, stored.content_type, stored.size_bytes) == (Kind.OUTPUT, "video/mp4", len(VIDEO))
    assert await bytes_of(storage, stored) == VIDEO
    again = await store_output(storage, outbound, owner_id, source.url, COPY)
    assert (again.id, source.started) == (stored.id, [0])
    assert await storage.list_objects(owner_id, limit=9) == [stored]


async def test_bytes_that_come_otherwise_are_stored_too(storage: Storage, outbound: Outbound, owner_id: AccountId):
    async def drawn() -> AsyncIterator[bytes]:
        for at in range(0, len(VIDEO), 100_000):
            yield VIDEO[at : at + 100_000]

    stored = await store_output(storage, outbound, owner_id, drawn(), COPY)
    assert (stored.content_type, await bytes_of(storage, stored)) == ("video/mp4", VIDEO)


async def test_memory_does_not_grow_with_the_object(storage: Storage, outbound: Outbound, owner_id: AccountId):
    """What Python holds; `benchmarks/storage.py` measures the whole process."""

    async def long() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(64 * 1024)

    tracemalloc.start()
    try:
        stored = await store_output(storage, outbound, owner_id, long(), COPY)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored.size_bytes == 1000 * 64 * 1024
    assert peak_bytes < 8 * 1024 * 1024


async def test_a_site_that_breaks_off_is_asked_for_the_rest(
    storage: Storage, outbound: Outbound, owner_id: AccountId, world: Site
):
    source = Source(world)
    source.cuts = [1_000_000, 2_500_000]
    stored = await store_output(storage, outbound, owner_id, source.url, COPY)
    assert await bytes_of(storage, stored) == VIDEO
    first, second, third = source.started
    assert (first, second) == (0, 1_000_000)
    assert third == 2_500_000


async def test_another_worker_goes_on_where_one_died(
    open_one: OpenStorage, outbound: Outbound, owner_id: AccountId, world: Site
):
    """Cancelled is as good as killed: what is on the disk is what goes on."""
    source, storage = Source(world), open_one()

    async def stalls(writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "1"\r\n\r\n' % len(VIDEO) + VIDEO[:2_000_000])
        await asyncio.Event().wait()

    resuming, world.answers["/clip"] = world.answers["/clip"], stalls
    first = asyncio.create_task(store_output(storage, outbound, owner_id, source.url, COPY))
    [pending] = await until_pending(storage, owner_id)
    async with asyncio.timeout(10):
        while size_of(storage.folder, pending.id) < 1_000_000:
            await asyncio.sleep(0.01)
    with pytest.raises(Conflict):
        await store_output(storage, outbound, owner_id, source.url, COPY)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await storage.list_objects(owner_id, limit=9) == []
    world.answers["/clip"] = resuming
    stored = await store_output(open_one(), outbound, owner_id, source.url, COPY)
    assert await bytes_of(storage, stored) == VIDEO
    assert source.started == [2_000_000]


async def until_pending(storage: Storage, owner_id: AccountId) -> list[StoredObject]:
    async with asyncio.timeout(10):
        while True:
            async with storage.database.connection() as connection:
                rows = await connection.fetch("SELECT id FROM objects WHERE state = 'pending'")
            if rows:
                return [await storage.find(owner_id, rows[0]["id"])]
            await asyncio.sleep(0.01)


async def test_a_copy_that_was_whole_is_not_fetched_again(
    open_one: OpenStorage, outbound: Outbound, owner_id: AccountId, world: Site, monkeypatch: pytest.MonkeyPatch
):
    """The worker died between the last byte and the bucket."""
    source, storage = Source(world), open_one()

    async def dies(*_: object) -> StoredObject:
        raise RuntimeError("killed")

    monkeypatch.setattr(outputs, "keep", dies)
    with pytest.raises(RuntimeError):
        await store_output(storage, outbound, owner_id, source.url, COPY)
    monkeypatch.undo()
    stored = await store_output(open_one(), outbound, owner_id, source.url, COPY)
    assert (source.started, await bytes_of(storage, stored)) == ([0], VIDEO)


@pytest.mark.parametrize("etag", ["", '"2"'])
async def test_a_source_that_has_changed_is_taken_anew(
    etag: str, storage: Storage, outbound: Outbound, owner_id: AccountId, world: Site
):
    source = Source(world, etag=etag)
    source.cuts = [1_000_000] * 6
    with pytest.raises(UnusableUrl):
        await store_output(storage, outbound, owner_id, source.url, COPY)
    changed = Source(world, VIDEO[:2_000_000] + b"other", etag='"3"')
    stored = await store_output(storage, outbound, owner_id, changed.url, COPY)
    assert await bytes_of(storage, stored) == changed.body


async def test_another_host_begins_anew(
    open_one: OpenStorage, outbound: Outbound, owner_id: AccountId, world: Site, tmp_path: Path, kind: str
):
    source, storage = Source(world), open_one()
    source.cuts = [1_000_000] * 6
    with pytest.raises(UnusableUrl):
        await store_output(storage, outbound, owner_id, source.url, COPY)
    assert source.started[0] == 0 and source.started[-1] == 1_000_000
    source.cuts = []
    elsewhere = open_one(folder=tmp_path / "elsewhere")
    stored = await store_output(elsewhere, outbound, owner_id, source.url, COPY)
    assert source.started[-1] == 0
    assert await bytes_of(elsewhere, stored) == VIDEO


@pytest.mark.parametrize(
    ("body", "why"), [(b"<html>", "is text/html, not video"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"", "not video")]
)
async def test_what_is_not_what_was_made_is_refused(
    body: bytes, why: str, storage: Storage, outbound: Outbound, owner_id: AccountId, world: Site
):
    source = Source(world, body)
    with pytest.raises(UnusableUrl, match=why):
        await store_output(storage, outbound, owner_id, source.url, COPY)
    assert await storage.list_objects(owner_id, limit=9) == []


async def test_what_is_too_large_ends_at_the_bound(
    storage: Storage, outbound: Outbound, owner_id: AccountId, world: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outputs, "COPY_BYTES_MAX", 1_000_000)
    with pytest.raises(UnusableUrl, match="over 1000000 bytes"):
        await store_output(storage, outbound, owner_id, Source(world).url, COPY)
    assert await storage.list_objects(owner_id, limit=9) == []


async def test_a_vendor_cannot_make_us_copy_from_inside(storage: Storage, outbound: Outbound, owner_id: AccountId):
    async with site_at(INSIDE) as inside:
        inside.says("/clip", VIDEO, "video/mp4")
        with pytest.raises(UnusableUrl, match="no public address"):
            await store_output(storage, outbound, owner_id, f"http://{INSIDE}:{inside.port}/clip", COPY)
        assert inside.connections == 0
