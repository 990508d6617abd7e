"""Files of a spool, read again whatever happened to them."""

import random
from uuid import UUID
from zlib import crc32

import pytest

from hypereal.kit.ids import ProcessId
from hypereal.ledger import segments
from hypereal.ledger.segments import FRAME, FRAME_MAGIC, HEADER_BYTES, MASK, Identity

ADA = Identity(cluster=UUID(int=7), process_id=ProcessId(5), start=3 << segments.RANGE_BITS)
BASE = ADA.start + 1000
RECORDS = [b'{"number":%d}' % number * (number + 1) for number in range(5)]


def file_of(records: list[bytes], room: int = 500) -> bytes:
    """As a spool writes it, with ROOM left over."""
    content, position = segments.header(ADA, BASE), BASE
    for record in records:
        content += FRAME.pack(FRAME_MAGIC, len(record), crc32(record, position & MASK)) + record
        position += FRAME.size + len(record)
    return content + bytes(room)


def contents(file: bytes) -> list[bytes]:
    segment = segments.read(file)
    assert segment is not None
    return [record.content for record in segment.records]


def test_records_are_read_with_their_positions() -> None:
    segment = segments.read(file_of(RECORDS))
    assert segment is not None
    assert (segment.identity, segment.base) == (ADA, BASE)
    assert [record.content for record in segment.records] == RECORDS
    assert [record.start for record in segment.records] == [BASE, *(one.end for one in segment.records[:-1])]
    assert (segment.is_damaged, segment.cut_bytes) == (False, 0)


def test_end_that_was_being_written_is_cut() -> None:
    whole = file_of(RECORDS, room=0)
    for size in range(HEADER_BYTES, len(whole)):
        segment = segments.read(whole[:size] + bytes(300))
        assert segment is not None
        assert [record.content for record in segment.records] == RECORDS[: len(segment.records)]
        assert not segment.is_damaged
        end = segment.records[-1].end if segment.records else BASE
        assert end - BASE + HEADER_BYTES <= size


def test_damage_in_the_middle_is_noticed_and_costs_no_other_record() -> None:
    whole = bytearray(file_of(RECORDS))
    at = whole.index(RECORDS[2])
    whole[at + 3] ^= 1
    segment = segments.read(bytes(whole))
    assert segment is not None
    assert [record.content for record in segment.records] == [*RECORDS[:2], *RECORDS[3:]]
    assert segment.is_damaged


def test_any_damage_leaves_only_records_that_were_written() -> None:
    seed = random.Random(7)
    for _ in range(300):
        whole = bytearray(file_of(RECORDS))
        for _ in range(seed.randint(1, 20)):
            whole[seed.randrange(HEADER_BYTES, len(whole))] = seed.randrange(256)
        found = contents(bytes(whole))
        assert found == [record for record in RECORDS if record in found]


def test_record_of_another_place_is_none() -> None:
    """What a file had been before, on a disk that reuses it."""
    moved = segments.header(ADA, BASE + 8) + file_of(RECORDS)[HEADER_BYTES:]
    assert contents(moved) == []


@pytest.mark.parametrize("file", [b"", b"x" * 200, bytes(200), file_of([])[: HEADER_BYTES - 1]])
def test_what_does_not_begin_as_one_is_none(file: bytes) -> None:
    assert segments.read(file) is None


def test_a_position_of_another_process_is_told() -> None:
    assert ADA.owns(BASE)
    assert not ADA.owns(ADA.start - 1)
    assert not ADA.owns(ADA.start + (1 << segments.RANGE_BITS))
