"""What a process settled, on its own disk before the reply ends: it survives the process, and the database's absence.

Read `segments.py` first. A record is copied into a mapped file: no system call, and a killed process loses nothing. A
thread brings it to the disk every 100 ms, so a host that dies loses no more. Whoever finds a spool whose lock is free
settles the rest of it: `reclaim.py`. Without a disk it only counts positions, and the books' memory is all there is.
"""

import asyncio
import errno
import fcntl
import mmap
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID
from zlib import crc32

from hypereal.kit import log
from hypereal.kit.ids import ProcessId
from hypereal.ledger.figures import SpoolFigures
from hypereal.ledger.segments import (
    FRAME,
    FRAME_MAGIC,
    HEADER_BYTES,
    MASK,
    RANGE_BITS,
    SEGMENT_BYTES,
    Identity,
    header,
)

FLUSH_S: Final = 0.1
KEEP_S: Final = 600.0
"""How long a segment stays after the database had it: a database that went back in time may want it again."""
KEPT_MAX: Final = 16
"""At most so many of them: 256 MiB."""
MEND_S: Final = 5.0
"""How often a disk that failed is tried again."""
FRAME_BYTES: Final = FRAME.size
UNFINISHED: Final = "new-"
NOT_OPEN: Final = "not open yet"

_NAME: Final = re.compile(r"(\d{1,18})-(\d{1,5})-([0-9a-f]{32})")

_pack: Final = FRAME.pack
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


def random_start() -> int:
    """The first position of a new process."""
    return secrets.randbits(62 - RANGE_BITS) << RANGE_BITS


def folder_name(identity: Identity) -> str:
    """What a spool's folder is called."""
    return f"{identity.process_id}-{identity.start >> RANGE_BITS}-{identity.cluster.hex}"


def identity_of(folder: Path) -> Identity | None:
    """Whose spool is in FOLDER, by its name; None where that is no spool's."""
    found = _NAME.fullmatch(folder.name)
    if found is None:
        return None
    number, start, cluster = found.groups()
    return Identity(process_id=ProcessId(int(number)), start=int(start) << RANGE_BITS, cluster=UUID(hex=cluster))


def lock(folder: Path) -> int | None:
    """The descriptor that holds FOLDER's lock; None where its process lives, or another settles what it left.

    Raises FileNotFoundError where it is gone.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == folder.stat().st_ino:
            return fd
    except BlockingIOError:
        pass
    except FileNotFoundError:
        os.close(fd)
        raise
    os.close(fd)
    return None


class _File:
    """A segment of SEGMENT_BYTES: allocated, so that writing to it cannot run out of disk, and mapped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _allocate(self.fd)
            self.map = mmap.mmap(self.fd, SEGMENT_BYTES)
        except OSError:
            os.close(self.fd)
            self.path.unlink()
            raise
        self.end = 0
        """The position after its last record, once it is full."""
        self.acked_s = 0.0

    def begin(self, identity: Identity, base: int) -> None:
        """Its first record will be at BASE."""
        self.map[:HEADER_BYTES] = header(identity, base)
        path = self.path.with_name(f"{base:020}")
        self.path.rename(path)
        self.path = path

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)

    def discard(self) -> None:
        """It was never used."""
        self.close()
        self.path.unlink(missing_ok=True)


def _allocate(fd: int) -> None:
    try:
        os.posix_fallocate(fd, 0, SEGMENT_BYTES)
    except AttributeError:  # not on every system
        os.pwrite(fd, bytes(SEGMENT_BYTES), 0)


class Spool:
    """The spool of one process number. Without ROOT it only counts."""

    def __init__(self, identity: Identity | None = None, root: Path | None = None) -> None:
        self.position = self.acked = identity.start if identity is not None else 0
        self.fault = NOT_OPEN
        self._identity = identity
        self._folder: Path | None = None
        self._lock: int | None = None
        self._limit = -1
        """The position at which the current file is full."""
        self._shift = 0
        """A position less this is an offset in the current file."""
        self._map: mmap.mmap | bytearray = bytearray()
        self._file: _File | None = None
        self._next: _File | None = None
        self._full: list[_File] = []
        """Files before the current one that are kept."""
        self._unsynced: list[int] = []
        self._synced = self.position
        self._lost: list[tuple[int, int]] = []
        """What was not written, from one position to another."""
        self._acked_s = self._tried_s = time.monotonic()
        self._root = root if identity is not None else None
        self._open()

    def append(self, record: bytes) -> int:
        """Write RECORD; the position after it, whether or not there was a disk to write to."""
        start = self.position
        size = len(record)
        self.position = end = start + FRAME_BYTES + size
        if end <= self._limit or self._turn(start, end):
            shift = self._shift
            self._map[start - shift : end - shift] = _pack(FRAME_MAGIC, size, crc32(record, start & MASK)) + record
        else:
            begin = self._lost.pop()[0] if self._lost and self._lost[-1][1] == start else start
            self._lost.append((begin, end))
        return end

    def has(self, end: int) -> bool:
        """Whether the record that ends at END was written."""
        return not any(begin < end <= until for begin, until in self._lost)

    @property
    def is_on_disk(self) -> bool:
        """Whether it has a folder, which somebody will settle."""
        return self._folder is not None

    def acknowledge(self, position: int) -> None:
        """The database has everything before POSITION."""
        self.acked = position
        self._acked_s = time.monotonic()

    @property
    def figures(self) -> SpoolFigures:
        """For operators."""
        return SpoolFigures(
            state=self.fault or "ok",
            waiting_bytes=self.position - self.acked,
            segments=len(self._full) + (self._file is not None) + (self._next is not None),
            acked_age_s=round(time.monotonic() - self._acked_s, 3),
        )

    async def keep(self) -> None:
        """Called every FLUSH_S: bring what was written to the disk, have the next file ready, give up old ones."""
        try:
            await self._flush()
            if self.fault:
                await self._mend()
            elif self._next is None and self._limit - self.position < SEGMENT_BYTES // 2:
                self._next = await self._new_file()
        except OSError as error:
            self._lose(error)
        self._give_up_old()

    def release(self) -> None:
        """No more will be written here: somebody else may settle the rest."""
        self._root = None
        if self._file is not None:
            with suppress(OSError):
                if not self.fault:
                    os.ftruncate(self._file.fd, self.position - self._shift)
            self._file.close()
        if self._next is not None:
            self._next.discard()
        self._file = self._next = None
        self._limit, self._map = -1, bytearray()
        unsynced, self._unsynced = self._unsynced, []
        for fd in unsynced:
            os.close(fd)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- below: files ----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """A folder is made, locked and filled under another name, so that nobody takes it for one that was left."""
        if self._root is None or self._identity is None:
            return
        made = self._root / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            made.mkdir(mode=0o700, parents=True)
            self._lock = lock(made)
            if self._lock is None:
                raise BlockingIOError(errno.EAGAIN, "somebody holds a folder that was just made")
            self._folder = made.rename(self._root / folder_name(self._identity))
            self._use(_File(self._folder), self.position)
            self.fault = ""
        except OSError as error:
            if self._folder is None and self._lock is not None:
                os.close(self._lock)
                self._lock = None
            self._lose(error)

    def _turn(self, start: int, end: int) -> bool:
        """Go on in the next file, where there can be one."""
        if self._folder is None or self.fault or end - start > SEGMENT_BYTES - HEADER_BYTES:
            return False
        try:
            made, self._next = self._next or _File(self._folder), None
            self._use(made, start)
        except OSError as error:
            self._lose(error)
            return False
        return True

    def _use(self, made: _File, base: int) -> None:
        assert self._identity is not None
        made.begin(self._identity, base)
        former, self._file = self._file, made
        if former is not None:
            former.end = base
            self._unsynced.append(os.dup(former.fd))
            former.close()
            self._full.append(former)
        self._unsynced.append(os.open(made.path.parent, os.O_RDONLY))  # not a copy of the lock, which would hold it
        self._map = made.map
        self._shift = base - HEADER_BYTES
        self._limit = base + SEGMENT_BYTES - HEADER_BYTES

    async def _flush(self) -> None:
        if self._file is None or (self._synced == self.position and not self._unsynced):
            return
        position = self.position
        fds, self._unsynced = [*self._unsynced, os.dup(self._file.fd)], []
        await asyncio.to_thread(_sync_and_close, fds)
        self._synced = position

    async def _new_file(self) -> _File | None:
        """None where this was released meanwhile."""
        assert self._folder is not None
        made = await asyncio.to_thread(_File, self._folder)
        if self._lock is None:
            made.discard()
            return None
        return made

    async def _mend(self) -> None:
        if self._root is None or time.monotonic() - self._tried_s < MEND_S:
            return
        self._tried_s = time.monotonic()
        if self._folder is None:
            return self._open()
        made = await self._new_file()
        if made is not None:
            self._use(made, self.position)
            self.fault = ""
            log.get("ledger").info("the spool is written again")

    def _lose(self, error: OSError) -> None:
        """What follows is billed from memory. What was written stays."""
        if not self.fault or self.fault == NOT_OPEN:
            log.get("ledger").error("the spool cannot be written: bills from memory", error=repr(error))
        self.fault = error.strerror or repr(error)
        self._limit = -1
        self._tried_s = time.monotonic()

    def _give_up_old(self) -> None:
        now_s = time.monotonic()
        for file in self._full:
            if not file.acked_s and file.end <= self.acked:
                file.acked_s = now_s
        while self._full and (first := self._full[0]).acked_s:
            if now_s - first.acked_s < KEEP_S and len(self._full) <= KEPT_MAX:
                break
            self._full.pop(0).path.unlink(missing_ok=True)


def _sync_and_close(fds: list[int]) -> None:
    try:
        for fd in fds:
            _sync(fd)
    finally:
        for fd in fds:
            os.close(fd)
