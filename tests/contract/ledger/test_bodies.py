"""Kept bodies in the database: encrypted for their owner, bounded by day, gone with their time and with their key."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support.ledger import make_account
from tests.support.processes import short_folder

from hypereal.accounts import KeyTerms, create_key, revoke_key
from hypereal.kit.clock import utc_now
from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, KeyId
from hypereal.kit.settings import RequestLog
from hypereal.ledger import Bodies, Receiver, Recorded, frame_of
from hypereal.ledger.request_log.bodies import receiver as receivers
from hypereal.ledger.request_log.bodies import upkeep

SECRET = "0123456789abcdef" * 2
OWNER, OTHER = AccountId("acc_one"), AccountId("acc_two")
SPOKEN = "Grüße an die Möwe"


def recorded(number: int = 1, **changes: Any) -> Recorded:
    facts: dict[str, Any] = {
        "request_id": f"req_{number}",
        "owner_id": OWNER,
        "key_id": KeyId("key_1"),
        "kept_days": 7,
        "request": b'{"model":"m"}',
        "request_is_cut": False,
        "answer": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + SPOKEN.encode(),
        "answer_is_cut": False,
    }
    return Recorded(**facts | changes)


def bodies(database: Database, secret: str = SECRET, **settings: Any) -> Bodies:
    return Bodies(database, secret, RequestLog(**settings))


async def fetch(database: Database, query: str, *arguments: object) -> list[asyncpg.Record]:
    async with database.connection() as connection:
        return await connection.fetch(query, *arguments)


async def stored(database: Database) -> list[str]:
    return [row["request_id"] for row in await fetch(database, "SELECT request_id FROM bodies ORDER BY 1")]


async def test_what_was_kept_is_found_by_its_owner_alone(database: Database) -> None:
    keeping = bodies(database)
    assert await keeping.keep([recorded(1), recorded(2, owner_id=OTHER)]) == 0
    kept = await keeping.find(OWNER, "req_1")
    assert kept is not None
    assert (kept.request, kept.answer) == ('{"model":"m"}', SPOKEN)
    assert kept.kept_until == utc_now().date() + timedelta(days=7)
    assert await keeping.find(OWNER, "req_2") is None
    assert await keeping.find(OWNER, "req_3") is None
    assert await bodies(database, SECRET[::-1]).find(OWNER, "req_1") is None


async def test_no_word_of_it_is_in_the_database(database: Database) -> None:
    await bodies(database).keep([recorded()])
    [row] = await fetch(database, "SELECT * FROM bodies")
    assert SPOKEN not in str(dict(row))
    assert SPOKEN.encode() not in row["sealed"]


async def test_a_batch_whose_answer_was_lost_may_come_again(database: Database) -> None:
    keeping = bodies(database)
    for _ in range(2):
        assert await keeping.keep([recorded(1), recorded(2)]) == 0
    assert await stored(database) == ["req_1", "req_2"]


async def test_an_account_has_its_share_of_a_day_and_others_have_theirs(database: Database) -> None:
    keeping = bodies(database, bodies_mb_per_day=1)
    noise = b"".join(
        number.to_bytes(3, "big").hex().encode() + b" " for number in range(37_000)
    )  # 256 KiB, not packed well
    refused = [await keeping.keep([recorded(number, request=noise)]) for number in range(30)]
    assert refused[0] == 0
    assert refused[-1] == 1
    assert await keeping.keep([recorded(100), recorded(101, owner_id=OTHER)]) == 1
    assert "req_101" in await stored(database)
    [row] = await fetch(database, "SELECT sum(octet_length(sealed)) AS size FROM bodies WHERE owner_id = $1", OWNER)
    assert row["size"] <= 1024 * 1024


async def test_days_have_tables_and_what_ends_is_dropped_with_its_day(database: Database) -> None:
    keeping, today = bodies(database), utc_now().date()
    await keeping.keep([recorded(1, kept_days=1)])  # before the upkeep ran
    await upkeep.tend(database)
    await keeping.keep([recorded(2, kept_days=30), recorded(3, kept_days=-1), recorded(4, kept_days=0)])
    tables = await fetch(database, "SELECT DISTINCT tableoid::regclass::text AS name FROM bodies ORDER BY 1")
    days = [today, today + timedelta(days=1), today + timedelta(days=30)]
    assert [row["name"] for row in tables] == [*(f"bodies_{day:%Y%m%d}" for day in days), "bodies_default"]
    assert await keeping.find(OWNER, "req_3") is None
    assert await keeping.find(OWNER, "req_4") is not None
    async with database.connection() as connection:
        await connection.execute("SELECT bodies_make_day($1)", today - timedelta(days=1))
    assert await stored(database) == ["req_1", "req_2", "req_3", "req_4"]
    await upkeep.tend(database)
    assert await stored(database) == ["req_1", "req_2", "req_4"]
    assert not await fetch(
        database, "SELECT WHERE to_regclass($1) IS NOT NULL", f"bodies_{today - timedelta(days=1):%Y%m%d}"
    )


async def test_what_never_had_a_table_ends_too(database: Database) -> None:
    keeping = bodies(database)
    await keeping.keep([recorded(1, kept_days=-3), recorded(2, kept_days=60)])
    await upkeep.tend(database)
    assert await stored(database) == ["req_2"]


async def test_with_its_key_they_are_gone_at_once_and_what_still_comes_is_never_shown(database: Database) -> None:
    owner_id = await make_account(database, 1)
    key = (await create_key(database, owner_id, KeyTerms(log_bodies=True))).key
    keeping = bodies(database)
    mine = {"owner_id": owner_id, "key_id": key.id}
    await keeping.keep([recorded(1, **mine), recorded(2, owner_id=owner_id)])
    assert await keeping.find(owner_id, "req_1") is not None
    await revoke_key(database, owner_id, key.id)
    assert await keeping.find(owner_id, "req_1") is None
    await keeping.keep([recorded(3, **mine)])  # of a stream that was under way
    assert await keeping.find(owner_id, "req_3") is None
    assert await keeping.find(owner_id, "req_2") is not None
    assert await upkeep.forget(database) == 2
    assert await stored(database) == ["req_2"]
    await upkeep.tend(database)
    assert await fetch(database, "SELECT FROM bodies_gone"), "what comes late is deleted too"


async def send(path: Path, *frames: bytes) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    for frame in frames:
        writer.write(frame)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def until_stored(database: Database, count: int) -> list[str]:
    async with asyncio.timeout(30):
        while len(found := await stored(database)) < count:
            await asyncio.sleep(0.005)
    return found


async def test_frames_are_written_and_nonsense_ends_only_its_connection(database: Database) -> None:
    with short_folder() as folder:
        path = folder / "bodies.sock"
        listening = Receiver(bodies(database), str(path))
        await listening.start()
        await send(path, frame_of(recorded(1)), frame_of(recorded(2)), b"\0\0\0\4nono", frame_of(recorded(3)))
        await send(path, b"\xff\xff\xff\xff", frame_of(recorded(4)))
        await send(path, frame_of(recorded(5)), frame_of(recorded(6))[:-3])
        assert await until_stored(database, 3) == ["req_1", "req_2", "req_5"]
        await listening.stop()
        assert not path.exists()
        assert listening.dropped == 0


async def test_a_database_that_is_away_is_waited_for_and_one_that_refuses_is_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [ConnectionRefusedError("away"), asyncpg.DiskFullError("full")]
    keeping = bodies(database)
    real = keeping.keep

    async def keep(batch: list[Recorded]) -> int:
        if failures:
            raise failures.pop(0)
        return await real(batch)

    monkeypatch.setattr(keeping, "keep", keep)
    monkeypatch.setattr(receivers, "RETRY_S", 0.001)
    with short_folder() as folder:
        listening = Receiver(keeping, str(folder / "bodies.sock"))
        await listening.start()
        await send(folder / "bodies.sock", frame_of(recorded(1)))
        async with asyncio.timeout(30):
            while not listening.dropped:
                await asyncio.sleep(0.005)
        await send(folder / "bodies.sock", frame_of(recorded(2)))
        assert await until_stored(database, 1) == ["req_2"]
        await listening.stop()
    assert listening.dropped == 1
