"""Conversations of one data process on their way to the database, and the way back.

`keep` only queues: sealing and writing happen aside, in batches, so that no answer waits for them.
"""

import asyncio

import asyncpg
import msgspec

from hypereal.conversations import store
from hypereal.kit import log
from hypereal.kit.db import UNREACHABLE, Database
from hypereal.kit.ids import AccountId
from hypereal.kit.sealing import Sealer

PURPOSE = b"hypereal conversations 1"
"""The number is that of the format."""
SIZE_BYTES_MAX = 4 * 1024 * 1024
"""Of one conversation as JSON. Of a larger one is kept only that it was."""
WAITING_BYTES_MAX = 32 * 1024 * 1024
WAITING_MAX = 1000
"""What is not written yet; over either bound the oldest are dropped."""
BATCH_BYTES_MAX = 8 * 1024 * 1024
BATCH_MAX = 50
KEPT_FOR_S = 24 * 3600.0
RETRY_S = 1.0
CLOSE_S_MAX = 2.0


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """All items up to the answer RESPONSE_ID and that answer's own, as one JSON array."""

    owner_id: AccountId
    response_id: str
    model: str
    """The one that answered last; another may go on."""
    items: bytes | None
    """None: they were too large to be kept."""


_Name = tuple[AccountId, str]


class Conversations:
    """Kept, and found again by their owner. `keep` takes no await and raises nothing."""

    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._sealer = Sealer(secret, PURPOSE)
        self._waiting: dict[_Name, Conversation] = {}
        """The oldest first. What is being written waits too, until it is."""
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self.dropped = 0
        """Conversations that were lost: the queue was full, or the database refused them."""

    def keep(self, conversation: Conversation) -> None:
        """Write CONVERSATION soon. `find` of this process knows it at once."""
        items = conversation.items
        if items is not None and len(items) > SIZE_BYTES_MAX:
            conversation = msgspec.structs.replace(conversation, items=None)
        name = (conversation.owner_id, conversation.response_id)
        self._forget(name)
        self._waiting[name] = conversation
        self._waiting_bytes += _size_bytes(conversation)
        while self._waiting_bytes > WAITING_BYTES_MAX or len(self._waiting) > WAITING_MAX:
            self._forget(next(iter(self._waiting)))
            self.dropped += 1
        if self._writer is None:
            self._begin()

    async def find(self, owner_id: AccountId, response_id: str) -> Conversation | None:
        """What the owner's answer RESPONSE_ID ended; None where there is none, or it is older than a day.

        Raises one of UNREACHABLE.
        """
        waiting = self._waiting.get((owner_id, response_id))
        if waiting is not None:
            return waiting
        async with self._database.connection() as connection:
            row = await store.find(connection, owner_id, response_id)
        if row is None:
            return None
        items = None
        if row.sealed is not None:
            items = await asyncio.to_thread(self._sealer.open, owner_id, response_id, row.sealed)
            if items is None:
                return None
        return Conversation(owner_id=owner_id, response_id=response_id, model=row.model, items=items)

    async def close(self) -> None:
        """Write what waits, for CLOSE_S_MAX seconds at most."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=CLOSE_S_MAX)
        if self._writer is not None:
            self._writer.cancel()
            log.get("conversations").error("conversations are lost", count=len(self._waiting))

    def _begin(self) -> None:
        self._writer = asyncio.get_running_loop().create_task(self._write())
        self._writer.add_done_callback(self._written)

    async def _write(self) -> None:
        while self._waiting:
            batch = self._batch()
            try:
                rows = await asyncio.to_thread(self._sealed, batch)
                async with self._database.connection() as connection:
                    await store.keep(connection, rows, KEPT_FOR_S)
            except UNREACHABLE as error:
                log.get("conversations").warning("conversations wait", count=len(self._waiting), error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            except asyncpg.PostgresError as error:
                log.get("conversations").error("conversations are lost", count=len(batch), error=str(error))
                self.dropped += len(batch)
            for each in batch:
                self._forget((each.owner_id, each.response_id))

    def _written(self, writer: asyncio.Task[None]) -> None:
        self._writer = None
        if writer.cancelled():
            return
        if (failure := writer.exception()) is not None:  # the next `keep` starts another
            log.get("conversations").error("the writer failed", exc_info=failure)
        elif self._waiting:  # kept between its last look and now
            self._begin()

    def _batch(self) -> list[Conversation]:
        batch: list[Conversation] = []
        size_bytes = 0
        for conversation in self._waiting.values():
            size_bytes += _size_bytes(conversation)
            if batch and (size_bytes > BATCH_BYTES_MAX or len(batch) == BATCH_MAX):
                break
            batch.append(conversation)
        return batch

    def _sealed(self, batch: list[Conversation]) -> list[store.Row]:
        """In a thread of its own: a megabyte takes some 10 ms."""
        return [
            store.Row(
                owner_id=each.owner_id,
                response_id=each.response_id,
                model=each.model,
                sealed=None if each.items is None else self._sealer.seal(each.owner_id, each.response_id, each.items),
            )
            for each in batch
        ]

    def _forget(self, name: _Name) -> None:
        forgotten = self._waiting.pop(name, None)
        if forgotten is not None:
            self._waiting_bytes -= _size_bytes(forgotten)


def _size_bytes(conversation: Conversation) -> int:
    return len(conversation.items or b"")
