"""A spool on a real disk: what was appended is there, whoever looks and whatever the disk does."""

import resource
from pathlib import Path
from uuid import UUID

import pytest

from hypereal.kit.ids import ProcessId
from hypereal.ledger import segments
from hypereal.ledger import spool as spool_module
from hypereal.ledger.segments import Identity
from hypereal.ledger.spool import Spool, folder_name, identity_of, lock

ADA = Identity(cluster=UUID(int=7), process_id=ProcessId(5), start=3 << segments.RANGE_BITS)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few records."""
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 4096)


def record(number: int) -> bytes:
    return b"%0100d" % number


def written(root: Path) -> list[bytes]:
    """All records of the spool, by its files."""
    found = []
    for path in sorted((root / folder_name(ADA)).iterdir()):
        if path.name.isdigit():
            segment = segments.read(path.read_bytes())
            assert segment is not None and segment.identity == ADA
            found += [one.content for one in segment.records]
    return found


def test_what_is_appended_can_be_read_at_once_through_many_files(tmp_path: Path, small: None) -> None:
    spool = Spool(ADA, tmp_path)
    ends = [spool.append(record(number)) for number in range(200)]
    assert written(tmp_path) == [record(number) for number in range(200)]
    assert ends[-1] == spool.position == ADA.start + 200 * (100 + spool_module.FRAME_BYTES)
    assert all(map(spool.has, ends))
    assert spool.figures.segments > 4
    assert (spool.figures.state, spool.figures.waiting_bytes) == ("ok", spool.position - ADA.start)


def test_without_a_folder_positions_go_on_and_nothing_is_there() -> None:
    spool = Spool()
    end = spool.append(b"x")
    assert not spool.has(end)
    assert spool.append(b"") == end + spool_module.FRAME_BYTES
    assert spool.figures.state == spool_module.NOT_OPEN


def test_the_owner_holds_the_lock_until_it_is_released(tmp_path: Path) -> None:
    spool = Spool(ADA, tmp_path)
    folder = tmp_path / folder_name(ADA)
    assert identity_of(folder) == ADA
    assert lock(folder) is None
    spool.append(b"x")
    spool.release()
    assert lock(folder) is not None
    assert written(tmp_path) == [b"x"]
    assert next(folder.iterdir()).stat().st_size < 1000  # what was allocated and not used is given back


async def test_acknowledged_files_are_kept_for_a_while(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(ADA, tmp_path)
    for number in range(200):
        spool.append(record(number))
    files = spool.figures.segments
    await spool.keep()
    assert spool.figures.segments >= files
    spool.acknowledge(spool.position)
    await spool.keep()
    assert spool.figures.segments >= files
    monkeypatch.setattr(spool_module, "KEEP_S", 0.0)
    await spool.keep()
    assert spool.figures.segments <= 2
    assert spool.append(b"x") == spool.position
    spool.release()


async def test_full_disk_is_told_and_billing_goes_on_until_it_is_mended(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MEND_S", 0.0)
    spool = Spool(ADA, tmp_path)
    before = [spool.append(record(number)) for number in range(20)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        lost = [spool.append(record(number)) for number in range(20, 60)]
        await spool.keep()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert spool.figures.state == "File too large"
    await spool.keep()
    assert spool.figures.state == "ok"
    after = spool.append(record(99))
    assert all(map(spool.has, [*before, after]))
    assert not spool.has(lost[-1])
    kept = [number for number, end in enumerate([*before, *lost]) if spool.has(end)]
    assert written(tmp_path) == [record(number) for number in [*kept, 99]]
    spool.release()


async def test_disk_that_is_full_from_the_start_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MEND_S", 0.0)
    blocked = tmp_path / "spool"
    blocked.touch()
    spool = Spool(ADA, blocked)
    assert not spool.has(spool.append(b"x"))
    await spool.keep()
    assert spool.figures.state != "ok"
    blocked.unlink()
    await spool.keep()
    end = spool.append(b"y")
    assert spool.has(end)
    assert written(blocked) == [b"y"]
    spool.release()
