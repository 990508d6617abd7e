"""A data process's side of the ledger: the books in memory, and one loop that carries batches to the database.

Read `books.py` and `spool.py` first. One statement at a time is in flight, on a connection of its own; it registers the
process, grants, settles and is the heartbeat. A process that finds itself fenced, or the database elsewhere than it
thought, takes a new number and spool, and lets the former one be settled as any other that was left (`reclaim.py`).
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from hypereal.kit import log
from hypereal.kit.clock import boot_id, boottime_s
from hypereal.kit.db import CONNECT_S_MAX, UNREACHABLE, Database, Feed
from hypereal.kit.ids import PoolId, ProcessId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import rows, store
from hypereal.ledger.asks import Standing
from hypereal.ledger.batches import arguments
from hypereal.ledger.books import NO_USAGE, RECALL_S, Books
from hypereal.ledger.figures import SpoolFigures
from hypereal.ledger.holds import Hold, Payer, Settlement, Ticket
from hypereal.ledger.reclaim import Reclaimer
from hypereal.ledger.segments import Identity
from hypereal.ledger.spool import FLUSH_S, Spool, random_start

LIVE_S = 60.0
HEARTBEAT_S = 10.0
SETTLE_S = 0.05
"""How long what was settled may wait for company: the spool has it."""
TICK_S = 0.5
WAIT_S_MAX = 5.0
"""How long a ticket may wait for the database."""
FLUSH_S_MAX = 10.0
BACKOFF_S_MAX = 2.0
CLOSE_S_MAX = 5.0
COMMIT_S_MAX = 60.0


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger must know of its installation."""

    instance_id: str
    balance_min: Micro
    spool_dir: Path | None = None
    """Absent: what is settled is in memory only, until the database has it."""
    lease_offline_s: float = 600.0
    """For so long a process spends what it leases without a word of the database; others end its leases later."""
    waits_for_commit: bool = False
    """A reply ends only when the database has its settlement."""


class Ledger:
    """Credit for the calls of one data process. Everything but `open`, `committed` and `close` is synchronous.

    FEED, which its owner starts, tells of pools that other processes are short of.
    """

    def __init__(self, database: Database, feed: Feed, terms: Terms) -> None:
        self._url = database.url
        self._terms = terms
        self.waits_for_commit = terms.waits_for_commit
        self._spool = Spool()
        self._books = Books(terms.balance_min, self._spool)
        self.write_down: Callable[[], None] = self._books.write_down
        """Bring what was settled to the spool: before the last byte of an answer goes out."""
        self._reclaimer = Reclaimer(database, terms.spool_dir, terms.lease_offline_s)
        self._process_id: ProcessId | None = None
        self._is_fenced = False
        self._is_away = False
        """The database did not answer when last it was asked."""
        self._is_careful = False
        """The last batch was refused: perhaps for one of its rows."""
        self._commits: list[tuple[int, asyncio.Future[bool]]] = []
        self._sent_s = 0.0
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._flush_statement: PreparedStatement[asyncpg.Record] | None = None
        self._backoff_s = 0.0
        self._wake = asyncio.Event()
        self._is_timer_set = False
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None
        self._helpers: list[asyncio.Task[None]] = []
        self._ticker: asyncio.TimerHandle | None = None
        feed.on(store.RECALLS, self._recalled)

    # -- the life of a hold --------------------------------------------------------------------------------------

    def hold_now(self, payer: Payer, amount: Micro) -> Hold | None:
        """Reserve AMOUNT from the payer's wallet and its key's month, from what is leased. None: ask with `hold`."""
        return self._books.hold_now(payer, amount)

    def hold(self, payer: Payer, amount: Micro, on_ready: Callable[[], None]) -> Ticket:
        """Reserve AMOUNT from the payer's wallet and, where the key has a limit, from its month.

        Where the ticket is pending, ON_READY is called once when it is decided, never from inside this call; it waits
        5 s at most. Then `ticket.take()` gives the hold or raises. Else `take` can be called at once.
        """
        ticket = self._books.hold(payer, amount, on_ready)
        if ticket.is_pending:
            self._wake.set()
        return ticket

    def grow(self, hold: Hold, extra: Micro, on_ready: Callable[[], None]) -> Ticket:
        """Add EXTRA to an open hold; the ticket is as `hold`'s, and `take()` gives the same hold, now larger.

        Refused, the hold stays as it was. Raises AlreadySettled.
        """
        ticket = self._books.grow(hold, extra, on_ready)
        if ticket.is_pending:
            self._wake.set()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """The caller left before `take`: `on_ready` is not called; what the ticket was or would be given goes back."""
        self._books.cancel(ticket)
        self._wake_later()

    def settle(self, hold: Hold, cost: Micro, usage: Usage, row: rows.UsageRow) -> Settlement:
        """End the hold: charge COST, at most the hold and what this process has free; log the call. Waits for nothing.

        It is on the disk after `write_down`. Raises AlreadySettled the second time, which changes nothing.
        """
        settlement = self._books.settle(hold, cost, usage, row)
        if not self._is_timer_set:
            self._wake_later()
        return settlement

    def release(self, hold: Hold, row: rows.UsageRow) -> None:
        """End the hold of a call that failed: nothing is charged; log it. Raises AlreadySettled."""
        self.settle(hold, Micro(0), NO_USAGE, row)

    def record(self, row: rows.UsageRow) -> None:
        """Log a call that was refused before it held anything."""
        self._books.record(row)
        self._wake_later()

    async def committed(self) -> bool:
        """True once the database has all that was settled so far; False where that takes more than a minute."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.write_down()
        self._commits.append((self._spool.position, done))
        self._wake.set()
        try:
            return await asyncio.wait_for(done, COMMIT_S_MAX)
        except TimeoutError:
            return False

    @property
    def unsettled(self) -> int:
        """Usage rows that the database does not have yet."""
        return self._books.lines_waiting

    @property
    def figures(self) -> SpoolFigures:
        """How the spool fares."""
        return msgspec.structs.replace(self._spool.figures, quarantined=self._reclaimer.quarantined)

    # -- the life of the process ---------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start. The first batch registers the process; while the database is away, holds are refused as Overloaded."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        self._helpers = [loop.create_task(self._reclaimer.run()), loop.create_task(self._keep_spool())]
        self._tick()
        self._wake.set()

    async def close(self) -> None:
        """Tell the database everything, return the leases, close the process; 5 s at most. Open holds charge nothing.

        Calls must have ended: no hold is taken any more. What the database does not get stays in the spool.
        """
        self._is_closing = True
        self._announce(self._books.refuse_waiting(float("inf")))
        self._wake.set()
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                task, self._task = self._task, None
                if task is not None:
                    await task
                if self._process_id is not None and self._connection is not None:
                    await store.close_process(self._connection, self._process_id)
        except (asyncpg.PostgresError, *UNREACHABLE) as error:
            log.get("ledger").error("closed before everything was flushed", error=repr(error))
        if self._ticker is not None:
            self._ticker.cancel()
        for helper in self._helpers:
            helper.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)
        await self._spool.keep()
        self._spool.release()
        self._disconnect()

    def _recalled(self, pool_id: str | None) -> None:
        if pool_id is not None and self._books.recall(PoolId(pool_id)):
            self._wake.set()

    def _wake_later(self) -> None:
        if not self._is_timer_set:
            self._is_timer_set = True
            asyncio.get_running_loop().call_later(SETTLE_S, self._settle_due)

    def _settle_due(self) -> None:
        self._is_timer_set = False
        if self._books.has_work:
            self._wake.set()

    def _tick(self) -> None:
        """Twice a second: no ticket waits for ever, no lease lies idle, and an idle process stays live."""
        self._announce(self._books.refuse_waiting(time.monotonic() - WAIT_S_MAX))
        self._books.sweep()
        if self._books.has_work:
            self._wake_later()
        if boottime_s() - self._sent_s >= HEARTBEAT_S:
            self._wake.set()
        if self._is_away and not self._can_settle_alone:
            self._books.live_until_s = 0.0
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        for task in (self._task, *self._helpers):
            if task is not None and task.done() and not task.cancelled():
                task.result()  # none ever ends by itself: say what ended it

    @property
    def _can_settle_alone(self) -> bool:
        """Whether calls may go on while the database is away: what they settle must outlive us."""
        return not (self._spool.fault or self.waits_for_commit)

    async def _keep_spool(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._spool.keep()

    def _announce(self, tickets: list[Ticket]) -> None:
        """Through the loop, so that one caller's failure is not another's."""
        loop = asyncio.get_running_loop()
        for ticket in tickets:
            loop.call_soon(ticket.announce)

    # -- batches -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._is_closing or self._books.has_work:
            await self._wake.wait()
            self._wake.clear()
            await self._try_flush()

    async def _try_flush(self) -> None:
        try:
            await self._flush()
            self._backoff_s, self._is_away = 0.0, False
        except asyncpg.DeadlockDetectedError:
            self._wake.set()
        except (asyncpg.PostgresError, *UNREACHABLE) as error:
            await self._recover(error)

    async def _flush(self) -> None:
        """Send the batch in flight, or a new one. However this ends, sending it again is right."""
        statement, process_id = await self._connected()
        batch = self._books.batch()
        self._sent_s = boottime_s()
        said = arguments(process_id, batch, LIVE_S, is_careful=self._is_careful)
        answers = await statement.fetch(*said, timeout=FLUSH_S_MAX)
        self._is_careful = False
        self._books.live_until_s = self._sent_s + self._terms.lease_offline_s
        self._announce(self._books.applied([Standing(*answer) for answer in answers]))
        self._spool.acknowledge(batch.end)
        self._tell_committed(batch.end)
        if self._books.has_waiting or self._is_closing or self._commits:
            self._wake.set()
        elif self._books.is_short:
            asyncio.get_running_loop().call_later(RECALL_S, self._wake.set)
        elif self._books.has_work:
            self._wake_later()

    def _tell_committed(self, position: int) -> None:
        waiting, self._commits = self._commits, []
        for end, done in waiting:
            if end > position:
                self._commits.append((end, done))
            elif not done.done():
                done.set_result(True)

    def _give_up_commits(self) -> None:
        """What the former spool has will be settled, but nobody here will know when."""
        waiting, self._commits = self._commits, []
        for _, done in waiting:
            if not done.done():
                done.set_result(False)

    async def _connected(self) -> "tuple[PreparedStatement[asyncpg.Record], ProcessId]":
        if self._flush_statement is None or self._connection is None:
            settings = {"application_name": "hypereal-ledger", "jit": "off"}
            self._connection = await asyncpg.connect(self._url, timeout=CONNECT_S_MAX, server_settings=settings)
            self._flush_statement = await self._connection.prepare(store.FLUSH)
        if self._process_id is None or self._is_fenced:
            self._process_id = await self._register(self._connection)
        return self._flush_statement, self._process_id

    async def _register(self, connection: "asyncpg.Connection[asyncpg.Record]") -> ProcessId:
        """Take a number and a spool. What the former spool has is settled by whoever gets its lock."""
        terms, pid, start = self._terms, os.getpid(), random_start()
        former = self._process_id if self._spool.is_on_disk else None
        await store.close_former(connection, terms.instance_id, pid, former)
        process_id = await store.open_process(connection, terms.instance_id, pid, boot_id(), start=start, live_s=LIVE_S)
        identity = Identity(cluster=await store.read_cluster(connection), process_id=process_id, start=start)
        spool = await asyncio.to_thread(Spool, identity, terms.spool_dir)
        # From here on nothing is waited for: no settlement comes between the two.
        former_spool, self._spool, self._is_fenced = self._spool, spool, False
        self._books.begin(spool)
        former_spool.release()
        self._give_up_commits()
        self._reclaimer.look()
        return process_id

    async def _recover(self, error: Exception) -> None:
        """After a batch whose outcome is unknown, or that was refused: make the next attempt able to succeed."""
        logger = log.get("ledger")
        self._wake.set()
        is_refused = isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)
        if is_refused and not self._is_careful:
            logger.error("a batch was refused: sent again, without what the log does not take", error=repr(error))
            self._is_careful = True
            return
        if is_refused or getattr(error, "sqlstate", None) == store.FENCED:
            logger.error("fenced, or at odds with the database: begins anew", error=repr(error))
            self._is_fenced, self._is_careful = True, False
            self._books.live_until_s = 0.0
        else:
            logger.warning("the ledger's batch will be sent again", error=repr(error))
            self._is_away = True
            self._disconnect()
        self._backoff_s = min(max(0.05, self._backoff_s * 2), BACKOFF_S_MAX)
        await asyncio.sleep(self._backoff_s * random.uniform(0.5, 1.0))

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._flush_statement = None
