"""What came so far of one object: a file that grows until the object is whole. It outlives the process that wrote it.

Only one writes it at a time; who comes second is refused. Memory is one BUFFER_BYTES, whatever the object's size.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from hypereal.kit.errors import Conflict
from hypereal.kit.ids import ObjectId
from hypereal.kit.media_types import SNIFFED_BYTES
from hypereal.storage.faults import StorageFull

BUFFER_BYTES = 1024 * 1024
FREE_BYTES_MIN = 256 * 1024 * 1024
"""Of the disk; the database lives there too."""
LOOK_BYTES = 64 * 1024 * 1024
"""How often that is looked at."""
LEFT_S_MAX = 2 * 24 * 3600.0
"""A file that nobody wrote for so long belongs to nothing any more."""

T = TypeVar("T")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What is being fetched, as its site told: by it the rest can be asked for."""

    url: str
    etag: str
    size_bytes: int | None
    content_type: str


class Spool:
    """One file. Open it with `open_spool`; `close` keeps what is there, `drop` does not."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self.path = path
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0
        self._looked_bytes = -LOOK_BYTES
        self.size_bytes = os.fstat(file.fileno()).st_size

    async def write(self, piece: bytes) -> None:
        """Add PIECE. Raises StorageFull where the disk is full."""
        self._buffer += piece
        self.size_bytes += len(piece)
        if len(self._buffer) >= BUFFER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if self._buffer:
            buffer, self._buffer = self._buffer, bytearray()
            await asyncio.to_thread(self._write, buffer)

    def _write(self, buffer: bytearray) -> None:
        self._catch_up()
        if self._hashed_bytes - self._looked_bytes >= LOOK_BYTES:
            self._looked_bytes = self._hashed_bytes
            status = os.statvfs(self.path.parent)
            if status.f_bavail * status.f_frsize < FREE_BYTES_MIN:
                raise StorageFull
        left = memoryview(buffer)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise StorageFull from error
        self._hash.update(buffer)
        self._hashed_bytes += len(buffer)

    def _catch_up(self) -> None:
        """Read what another process wrote, once: the hash is over all of it."""
        if self._hashed_bytes == 0 and self._file.tell() > 0:
            end = self._file.tell()
            self._file.seek(0)
            while self._hashed_bytes < end and (piece := self._file.read(min(BUFFER_BYTES, end - self._hashed_bytes))):
                self._hash.update(piece)
                self._hashed_bytes += len(piece)

    async def restart(self) -> None:
        """Throw away what is there."""
        self._buffer = bytearray()
        await asyncio.to_thread(self._file.truncate, 0)
        self._file.seek(0)
        self._hash, self._hashed_bytes, self.size_bytes = hashlib.sha256(), 0, 0

    async def finish(self) -> str:
        """See that all is on disk; the SHA-256 of it, in hex."""
        await self.flush()

        def sync() -> str:
            self._catch_up()
            os.fsync(self._file.fileno())
            return self._hash.hexdigest()

        return await asyncio.to_thread(sync)

    def head(self) -> bytes:
        """The first bytes, for their type. Of what was flushed."""
        return os.pread(self._file.fileno(), SNIFFED_BYTES, 0)

    # -- where it comes from -----------------------------------------------------------------------------------------

    @property
    def _origin_path(self) -> Path:
        return self.path.with_suffix(".json")

    def origin(self) -> Origin | None:
        """What was noted last; None where nothing was."""
        try:
            return msgspec.json.decode(self._origin_path.read_bytes(), type=Origin)
        except (OSError, msgspec.MsgspecError):
            return None

    def note(self, origin: Origin) -> None:
        """Remember ORIGIN for who goes on."""
        self._origin_path.write_bytes(msgspec.json.encode(origin))

    # -- the end -----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Keep what is there for who goes on."""
        try:
            await self.flush()
        finally:
            self._file.close()

    def drop(self) -> None:
        """Nobody goes on. After `finish` its file may have been moved away."""
        self._buffer = bytearray()
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)


async def open_spool(folder: Path, object_id: ObjectId) -> Spool:
    """The file of OBJECT_ID, made where there is none. Raises Conflict where somebody writes it."""
    return await asyncio.to_thread(_open, folder / f"{object_id}.part")


def _open(path: Path) -> Spool:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Conflict("Somebody else is uploading this object at the moment.") from None
        if _is_at(path, file):  # else it was dropped or moved away between open and lock
            file.seek(0, os.SEEK_END)
            return Spool(file, path)
        file.close()


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def size_of(folder: Path, object_id: ObjectId) -> int:
    """Bytes that came so far."""
    try:
        return (folder / f"{object_id}.part").stat().st_size
    except FileNotFoundError:
        return 0


def forget(folder: Path, object_id: ObjectId) -> None:
    """Remove what came of OBJECT_ID."""
    for ending in (".part", ".json"):
        (folder / f"{object_id}{ending}").unlink(missing_ok=True)


def sweep(folder: Path, now_unix_s: Callable[[], float] = time.time) -> None:
    """Remove what was left for LEFT_S_MAX. Each host has a folder of its own, so rows alone do not tell of it."""
    for path in folder.glob("*.*") if folder.exists() else ():
        if now_unix_s() - path.stat().st_mtime > LEFT_S_MAX:
            path.unlink(missing_ok=True)
