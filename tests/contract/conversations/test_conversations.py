"""Kept conversations in the database: found by their owner, bounded while they wait, gone in time."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from hypereal.conversations import SIZE_BYTES_MAX, Conversation, Conversations, conversations, store, worker
from hypereal.kit.db import Connection, Database
from hypereal.kit.ids import AccountId

SECRET = "0123456789abcdef" * 2
OWNER, OTHER = AccountId("acc_one"), AccountId("acc_two")
ITEMS = b'[{"role":"user","content":"hi"}]'


def conversation(number: int, items: bytes | None = ITEMS, owner_id: AccountId = OWNER) -> Conversation:
    return Conversation(owner_id=owner_id, response_id=f"resp_{number}", model="kimi-k2.5", items=items)


async def written(database: Database, *kept: Conversation, secret: str = SECRET) -> Conversations:
    """The conversations KEPT, all of them in the database and none in memory."""
    writing = Conversations(database, secret)
    for each in kept:
        writing.keep(each)
    await writing.close()
    return Conversations(database, secret)


async def stored(database: Database) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT response_id FROM conversations ORDER BY owner_id, response_id")
        return [row["response_id"] for row in rows]


async def execute(database: Database, statement: str, *arguments: object) -> None:
    async with database.connection() as connection:
        await connection.execute(statement, *arguments)


class Away:
    """A `store.keep` whose database is away so often before it is there."""

    def __init__(self, times: int, failure: Exception) -> None:
        self.times = times
        self._failure = failure
        self._keep = store.keep

    async def __call__(self, connection: Connection, rows: Sequence[store.Row], kept_for_s: float) -> None:
        self.times -= 1
        if self.times >= 0:
            raise self._failure
        await self._keep(connection, rows, kept_for_s)


async def test_what_was_kept_is_found_by_its_owner(database: Database) -> None:
    kept = await written(database, conversation(1), conversation(2, b"[]"), conversation(1, b"[1]", OTHER))
    assert await kept.find(OWNER, "resp_1") == conversation(1)
    assert await kept.find(OWNER, "resp_2") == conversation(2, b"[]")
    assert await kept.find(OTHER, "resp_1") == conversation(1, b"[1]", OTHER)
    assert await kept.find(OTHER, "resp_2") is None


async def test_what_waits_is_found_at_once(database: Database) -> None:
    kept = Conversations(database, SECRET)
    kept.keep(conversation(1))
    assert await kept.find(OWNER, "resp_1") == conversation(1)
    assert await kept.find(OTHER, "resp_1") is None
    await kept.close()


async def test_a_row_moved_to_another_owner_stays_closed(database: Database) -> None:
    kept = await written(database, conversation(1))
    await execute(database, "UPDATE conversations SET owner_id = $1", OTHER)
    assert await kept.find(OTHER, "resp_1") is None


async def test_with_another_secret_there_is_nothing(database: Database) -> None:
    await written(database, conversation(1))
    assert await Conversations(database, "f" * 32).find(OWNER, "resp_1") is None


@pytest.mark.parametrize(("size_bytes", "is_kept"), [(SIZE_BYTES_MAX, True), (SIZE_BYTES_MAX + 1, False)])
async def test_of_what_is_too_large_is_kept_that_it_was(size_bytes: int, is_kept: bool, database: Database) -> None:
    items = b"[" + b" " * (size_bytes - 2) + b"]"
    kept = await written(database, conversation(1, items))
    found = await kept.find(OWNER, "resp_1")
    assert found is not None
    assert found.items == (items if is_kept else None)


async def test_a_batch_that_is_sent_again_changes_nothing(database: Database) -> None:
    await written(database, conversation(1))
    kept = await written(database, conversation(1, b"[2]"), conversation(2))
    assert await kept.find(OWNER, "resp_1") == conversation(1)
    assert await stored(database) == ["resp_1", "resp_2"]


@pytest.mark.parametrize(("bound", "most"), [("WAITING_MAX", 3), ("WAITING_BYTES_MAX", 3 * len(ITEMS))])
async def test_a_full_queue_drops_the_oldest_and_counts_them(
    bound: str, most: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, bound, most)
    kept = Conversations(database, SECRET)
    for number in range(5):
        kept.keep(conversation(number))
    await kept.close()
    assert kept.dropped == 2
    assert await stored(database) == ["resp_2", "resp_3", "resp_4"]


@pytest.mark.parametrize(("bound", "most"), [("BATCH_MAX", 2), ("BATCH_BYTES_MAX", 1)])
async def test_many_are_written_in_batches(
    bound: str, most: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, bound, most)
    await written(database, *map(conversation, range(5)))
    assert len(await stored(database)) == 5


async def test_while_the_database_is_away_they_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "RETRY_S", 0.0)
    away = Away(3, ConnectionRefusedError())
    monkeypatch.setattr(store, "keep", away)
    kept = Conversations(database, SECRET)
    kept.keep(conversation(1))
    await kept.close()
    assert (away.times, kept.dropped) == (-1, 0)
    assert await stored(database) == ["resp_1"]


async def test_what_the_database_refuses_is_counted_and_the_rest_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "keep", Away(1, asyncpg.DataError("no")))
    monkeypatch.setattr(conversations, "BATCH_MAX", 1)
    kept = Conversations(database, SECRET)
    for number in (1, 2):
        kept.keep(conversation(number))
    await kept.close()
    assert kept.dropped == 1
    assert await stored(database) == ["resp_2"]


async def test_a_writer_that_fails_is_followed_by_another(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "keep", Away(1, ZeroDivisionError()))
    kept = Conversations(database, SECRET)
    kept.keep(conversation(1))
    await kept.close()
    kept.keep(conversation(2))
    await kept.close()
    assert await stored(database) == ["resp_1", "resp_2"]


async def test_what_comes_as_the_writer_ends_is_written(database: Database) -> None:
    kept = Conversations(database, SECRET)
    kept.keep(conversation(1))
    writer = kept._writer
    assert writer is not None
    writer.remove_done_callback(kept._written)
    writer.add_done_callback(lambda _: kept.keep(conversation(2)))  # while it still seems to be running
    writer.add_done_callback(kept._written)
    async with asyncio.timeout(10):
        while await stored(database) != ["resp_1", "resp_2"]:
            await asyncio.sleep(0.01)


async def test_closing_waits_no_longer_than_it_must(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "CLOSE_S_MAX", 0.05)
    monkeypatch.setattr(store, "keep", Away(10**9, ConnectionRefusedError()))
    kept = Conversations(database, SECRET)
    kept.keep(conversation(1))
    await asyncio.wait_for(kept.close(), 5)


async def test_a_day_later_it_is_not_found_and_swept(database: Database) -> None:
    kept = await written(database, conversation(1), conversation(2))
    await execute(database, "UPDATE conversations SET expires_at = now() WHERE response_id = 'resp_1'")
    assert await kept.find(OWNER, "resp_1") is None
    assert await worker.sweep(database) == 1
    assert await stored(database) == ["resp_2"]


async def test_of_an_owner_with_too_much_the_oldest_go(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        await written(database, conversation(number))
    await written(database, conversation(9, owner_id=OTHER))
    async with database.connection() as connection:
        size_bytes = await connection.fetchval("SELECT max(octet_length(sealed)) FROM conversations")
    monkeypatch.setattr(worker, "OWNER_BYTES_MAX", 2 * size_bytes)
    monkeypatch.setattr(worker, "ROWS_MAX", 1)  # in several rounds
    assert await worker.sweep(database) == 2
    assert await stored(database) == ["resp_2", "resp_3", "resp_9"]
