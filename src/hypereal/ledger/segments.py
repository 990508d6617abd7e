"""The files of a spool: a header, then records, each framed with its length and a checksum.

Positions count a process's bytes through all its files. A checksum is seeded with the position, so a record is valid in
one place only. Written by `spool.py`, read again by `reclaim.py`.
"""

import struct
from uuid import UUID
from zlib import crc32

import msgspec

from hypereal.kit.ids import ProcessId

SEGMENT_BYTES = 16 * 1024 * 1024
MASK = 0xFFFFFFFF
RANGE_BITS = 48

FILE_MAGIC = b"hy-spool"
FRAME_MAGIC = b"\xf5hy\xfa"
"""Its first and last byte stand in no UTF-8, so in no record."""
FRAME = struct.Struct("<4sII")
"""Magic, length of the record, checksum."""
_HEADER = struct.Struct("<8s16sqqqI")
HEADER_BYTES = _HEADER.size


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose spool it is."""

    cluster: UUID
    """The database: what was written for one is never replayed into another."""
    process_id: ProcessId
    start: int
    """The position of the process's first record: random, so that a number given twice, by a database that went back in
    time, is noticed."""

    def owns(self, position: int) -> bool:
        """Whether POSITION can be one of this process."""
        return self.start <= position < self.start + (1 << RANGE_BITS)


class Record(msgspec.Struct, frozen=True, gc=False):
    """What was written between two positions; `content` is empty where a batch had no rows."""

    start: int
    end: int
    content: bytes


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One file, read."""

    identity: Identity
    base: int
    """The position of its first record."""
    records: list[Record]
    is_damaged: bool
    """Something that is no record stands between two that are."""
    cut_bytes: int
    """What stands behind the last record and is none: it was being written when the machine went down."""


def header(identity: Identity, base: int) -> bytes:
    """The beginning of a file whose first record is at BASE."""
    said = _HEADER.pack(FILE_MAGIC, identity.cluster.bytes, identity.process_id, identity.start, base, 0)[:-4]
    return said + crc32(said).to_bytes(4, "little")


def read_header(content: bytes) -> tuple[Identity, int] | None:
    """Whose file it is, and its base; None where it does not begin as one."""
    if len(content) < HEADER_BYTES:
        return None
    magic, cluster, process_id, start, base, checksum = _HEADER.unpack_from(content)
    if magic != FILE_MAGIC or checksum != crc32(content[: HEADER_BYTES - 4]):
        return None
    return Identity(cluster=UUID(bytes=cluster), process_id=ProcessId(process_id), start=start), base


def read(content: bytes) -> Segment | None:
    """All that is valid in a file; None where not even its header is."""
    head = read_header(content)
    if head is None:
        return None
    identity, base = head
    records: list[Record] = []
    is_damaged = False
    at = HEADER_BYTES
    while True:
        record = _record_at(content, at, base)
        if record is None:
            found = _next_record(content, at + 1, base)
            if found is None:
                break
            is_damaged, record = True, found
        records.append(record)
        at = record.end - base + HEADER_BYTES
    cut_bytes = len(content[at:].rstrip(b"\0"))
    return Segment(identity=identity, base=base, records=records, is_damaged=is_damaged, cut_bytes=cut_bytes)


def _record_at(content: bytes, at: int, base: int) -> Record | None:
    begin = at + FRAME.size
    if begin > len(content):
        return None
    magic, size, checksum = FRAME.unpack_from(content, at)
    if magic != FRAME_MAGIC or begin + size > len(content):
        return None
    start = at - HEADER_BYTES + base
    said = content[begin : begin + size]
    return Record(start, start + FRAME.size + size, said) if crc32(said, start & MASK) == checksum else None


def _next_record(content: bytes, at: int, base: int) -> Record | None:
    while (at := content.find(FRAME_MAGIC, at)) >= 0:
        record = _record_at(content, at, base)
        if record is not None:
            return record
        at += 1
    return None
