"""Data processes on two hosts over one real database, without their loops: every step is the simulation's to take.

The real ledgers, spools, reclaimers and statements; only time, the network and death are played. See
`tests/contract/ledger/test_simulation.py` for what may happen and what must hold.
"""

import errno
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from tests.support.ledger import USAGE, Caller, usage_row

from hypereal.kit.db import Database, Feed
from hypereal.kit.ids import ProcessId
from hypereal.kit.money import Micro
from hypereal.ledger import Hold, Ledger, Terms, Ticket, store
from hypereal.ledger.reclaim import Reclaimer
from hypereal.ledger.spool import Spool

OFFLINE_S = 40.0


class Clock:
    """Time that passes when the simulation says so: stands in for the module `time` and for `boottime_s`."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def __call__(self) -> float:
        return self.now_s


class Lost(ConnectionResetError):
    """The network lost a request, or its answer."""


class Settled(msgspec.Struct):
    """What a caller was told of one call."""

    cost: int
    told: int
    node: "Node"
    spool: Spool
    end: int


class Node(Ledger):
    """A data process whose flushes are steps, and whose network loses what it is told to lose."""

    def __init__(self, database: Database, host: "Host", name: str, terms: Terms) -> None:
        super().__init__(database, Feed(database.url), terms)
        self._is_timer_set = True  # no flush by itself
        self.host = host
        self.name = name
        self.fate = "arrives"
        self.is_stopped = False
        self.is_cut_off = False
        self.tickets: list[tuple[Ticket, Caller]] = []
        self.holds: list[tuple[Hold, Caller]] = []
        self.sent: list[tuple[Any, ...]] = []
        """The last batches, to arrive again."""
        self.untold: dict[str, Settled] = {}
        """Calls whose answers have not ended: what was settled may not be in the spool yet."""

    async def _connected(self) -> Any:
        if self.is_cut_off:
            raise Lost
        statement, process_id = await super()._connected()
        return _Wire(self, statement), process_id

    async def _register(self, connection: Any) -> ProcessId:
        if self.fate == "lost while it registers":
            await store.open_process(connection, self._terms.instance_id, os.getpid(), "", start=5, live_s=60)
            raise Lost
        return await super()._register(connection)

    async def flush(self, fate: str) -> None:
        """One batch, or the attempt."""
        self.fate = fate
        await self._try_flush()
        self.collect()

    def collect(self) -> None:
        """Callers take what was decided."""
        for ticket, caller in self.tickets[:]:
            if not ticket.is_pending:
                self.tickets.remove((ticket, caller))
                if ticket.error is None:
                    self.holds.append((ticket.take(), caller))

    def die(self) -> None:
        """As if killed: its lock is free, its connection ends, its memory is gone; its files are as they were."""
        if self._spool._lock is not None:
            os.close(self._spool._lock)
            self._spool._lock = None
        self._disconnect()

    def tell(self) -> None:
        """Answers end: what they cost is written down first."""
        self.write_down()
        for settled in self.untold.values():
            settled.end = settled.spool.position
        self.untold.clear()

    def lose_disk(self) -> None:
        """No more can be written."""
        self._spool._lose(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def lose_unsynced(self, seed: random.Random) -> None:
        """As if the machine went down: what was not brought to the disk is gone, or torn."""
        spool = self._spool
        if spool._file is None or not spool._file.path.exists():
            return
        synced = max(spool._synced - spool._shift, 0)
        with spool._file.path.open("r+b") as file:
            kept = file.read()
            torn = min(len(kept), synced + seed.choice([0, 0, 7, 30]))
            file.seek(0)
            file.write(kept[:torn] + bytes(len(kept) - torn))


class _Wire:
    """A prepared statement behind a network."""

    def __init__(self, node: Node, statement: Any) -> None:
        self._node = node
        self._statement = statement

    async def fetch(self, *arguments: Any, timeout: float) -> Any:
        if self._node.fate == "request is lost":
            raise Lost
        self._node.sent = [*self._node.sent[-3:], arguments]
        answer = await self._statement.fetch(*arguments, timeout=timeout)
        if self._node.fate == "answer is lost":
            raise Lost
        return answer


class Flaky(Database):
    """A database whose connections break after so many statements."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.url)
        self._pool = database._pool
        self.statements_left: int | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with super().connection() as connection:
            yield _Breaking(self, connection)


class _Breaking:
    def __init__(self, database: Flaky, connection: Any) -> None:
        self._database = database
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        statement = getattr(self._connection, name)

        async def perform(*arguments: Any) -> Any:
            left = self._database.statements_left
            if left is None:
                return await statement(*arguments)
            self._database.statements_left = left - 1
            if left <= 0 and left % 2 == 0:
                raise Lost
            answer = await statement(*arguments)
            if left <= 0:
                raise Lost
            return answer

        return perform


class Host:
    """A machine: its data folder, and who looks after what its processes left."""

    def __init__(self, database: Database, root: Path) -> None:
        self.database = Flaky(database)
        self.root = root
        self.reclaimer = Reclaimer(self.database, root, OFFLINE_S)

    def restart(self) -> None:
        """Nobody remembers anything."""
        self.reclaimer = Reclaimer(self.database, self.root, OFFLINE_S)


SNAPSHOT = (
    "pools",
    "processes",
    "leases",
    "entries",
    "usage",
    "usage_hours",
    "usage_days",
    "usage_model_days",
    "usage_words",
    "usage_deltas",
)
"""In the order in which they may be filled again."""


class Backup:
    """The ledger's tables as they were, for a database that goes back in time."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self.is_taken = False

    async def take(self) -> None:
        for table in SNAPSHOT:
            await self._connection.execute(
                f"DROP TABLE IF EXISTS was_{table}; CREATE TEMP TABLE was_{table} AS TABLE {table}"
            )
        self.is_taken = True

    async def restore(self) -> None:
        async with self._connection.transaction():
            await self._connection.execute(
                "SET LOCAL session_replication_role = replica"
            )  # sums come back as they were
            for table in reversed(SNAPSHOT):
                await self._connection.execute(f"DELETE FROM {table}")
            for table in SNAPSHOT:
                await self._connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM was_{table}")


def settle(node: Node, pick: int, cost: int) -> tuple[str, Settled]:
    """The caller of one of NODE's holds is told what it cost. The request's id, and what it was told."""
    request_id, settled = settle_untold(node, pick, cost)
    node.tell()
    return request_id, settled


def settle_untold(node: Node, pick: int, cost: int) -> tuple[str, Settled]:
    """`settle` of a call whose answer has not ended: `Node.tell` ends it."""
    hold, caller = node.holds.pop(pick % len(node.holds))
    row = usage_row(caller)
    spool = node._spool
    settlement = node.settle(hold, Micro(cost), USAGE, row)
    assert settlement.charged + settlement.written_off == cost
    request_id = row.details.request_id
    settled = node.untold[request_id] = Settled(cost, settlement.charged, node, spool, spool.position)
    return request_id, settled
