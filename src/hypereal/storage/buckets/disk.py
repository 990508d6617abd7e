"""Objects as files of one folder. What is put is renamed into its place once it is on disk.

Plain files, not obstore's disk: of a cached file that one read 90 MB/s and this one 3,000, as each piece there crosses
two runtimes.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

from hypereal.kit.errors import NotFound
from hypereal.storage.buckets.bucket import Direct, Stat

PIECE_BYTES = 256 * 1024


class Disk:
    """The folder ROOT, made when it is first needed. Of one machine: several need S3."""

    direct: Direct | None = None

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, file: Path, content_type: str) -> Stat:
        """Rename FILE, which must be on the same disk and synced."""
        return await asyncio.to_thread(self._put, key, file)

    def _put(self, key: str, file: Path) -> Stat:
        path = self._root / key
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.replace(path)
        for folder in (path.parent, path.parent.parent):
            _sync(folder)
        return self._stat(key) or Stat(size_bytes=0, etag="")

    async def stat(self, key: str) -> Stat | None:
        """Size, and an ETag of size and time."""
        return await asyncio.to_thread(self._stat, key)

    def _stat(self, key: str) -> Stat | None:
        try:
            found = (self._root / key).stat()
        except FileNotFoundError:
            return None
        return Stat(size_bytes=found.st_size, etag=f"{found.st_mtime_ns:x}-{found.st_size:x}")

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """In pieces of PIECE_BYTES."""
        try:
            file = await asyncio.to_thread(os.open, self._root / key, os.O_RDONLY)
        except FileNotFoundError:
            raise NotFound("Its bytes are not there.") from None
        try:
            while start < end:
                piece = await asyncio.to_thread(os.pread, file, min(PIECE_BYTES, end - start), start)
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            os.close(file)

    async def delete(self, keys: Sequence[str]) -> None:
        """And the folders that are empty then."""
        await asyncio.to_thread(self._delete, keys)

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self._root / key
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or not there
                for folder in list(path.parents)[:3]:
                    folder.rmdir()

    async def close(self) -> None:
        """Nothing is open."""


def _sync(folder: Path) -> None:
    """A new name is on disk once its folder is."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
