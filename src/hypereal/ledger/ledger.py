"""A data process's side of the ledger: the books in memory, and one loop that carries batches to the database.

Read `books.py` first. One statement at a time is in flight, on a connection of its own; it registers the process,
grants, settles and is the heartbeat.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from hypereal.kit import log
from hypereal.kit.clock import boot_id, boottime_s
from hypereal.kit.db import CONNECT_S_MAX, UNREACHABLE, Feed
from hypereal.kit.ids import PoolId, ProcessId
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import rows, store
from hypereal.ledger.books import NO_USAGE, Batch, Books
from hypereal.ledger.holds import Hold, Payer, Settlement, Ticket
from hypereal.ledger.pools import Standing

LIVE_S = 60.0
HEARTBEAT_S = 10.0
SETTLE_S = 0.02
"""How long what was settled may wait for company, and pools that are short until they are asked for again."""
TICK_S = 0.5
WAIT_S_MAX = 5.0
"""How long a ticket may wait for the database."""
FLUSH_S_MAX = 10.0
BACKOFF_S_MAX = 2.0
CLOSE_S_MAX = 5.0


class Ledger:
    """Credit for the calls of one data process. Everything but `open` and `close` is synchronous.

    FEED, which its owner starts, tells of pools that other processes are short of.
    """

    def __init__(self, url: str, feed: Feed, *, instance_id: str, balance_min: Micro) -> None:
        self._url = url
        self._instance_id = instance_id
        self._books = Books(balance_min)
        self._process_id: ProcessId | None = None
        self._sent_s = 0.0
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._flush_statement: PreparedStatement[asyncpg.Record] | None = None
        self._backoff_s = 0.0
        self._wake = asyncio.Event()
        self._is_timer_set = False
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None
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

        Raises AlreadySettled the second time, which changes nothing.
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

    @property
    def unsettled(self) -> int:
        """Usage rows that the database does not have yet."""
        return self._books.lines_waiting

    # -- the life of the process ---------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start. The first batch registers the process; while the database is away, holds are refused as Overloaded."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._tick()
        self._wake.set()

    async def close(self) -> None:
        """Tell the database everything, return the leases, close the process; 5 s at most. Open holds charge nothing.

        Calls must have ended: no hold is taken any more.
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
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self._task is not None and self._task.done():
            self._task.result()  # it never ends by itself: say what ended it

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
            try:
                await self._flush()
                self._backoff_s = 0.0
            except asyncpg.DeadlockDetectedError:
                self._wake.set()
            except (asyncpg.PostgresError, *UNREACHABLE) as error:
                await self._recover(error)

    async def _flush(self) -> None:
        """Send the batch in flight, or a new one. However this ends, sending it again is right."""
        statement, process_id = await self._connected()
        batch = self._books.batch()
        self._sent_s = boottime_s()
        answers = await statement.fetch(*arguments(process_id, batch), timeout=FLUSH_S_MAX)
        self._books.live_until_s = self._sent_s + LIVE_S
        self._announce(self._books.applied([Standing(*answer) for answer in answers]))
        if self._books.has_waiting or self._is_closing:
            self._wake.set()
        elif self._books.has_work:
            self._wake_later()

    async def _connected(self) -> "tuple[PreparedStatement[asyncpg.Record], ProcessId]":
        if self._flush_statement is None or self._connection is None:
            settings = {"application_name": "hypereal-ledger", "jit": "off"}
            self._connection = await asyncpg.connect(self._url, timeout=CONNECT_S_MAX, server_settings=settings)
            self._flush_statement = await self._connection.prepare(store.FLUSH)
        if self._process_id is None:
            await store.close_former(self._connection, self._instance_id, os.getpid())
            self._process_id = await store.open_process(
                self._connection, self._instance_id, os.getpid(), boot_id(), LIVE_S
            )
        return self._flush_statement, self._process_id

    async def _recover(self, error: Exception) -> None:
        """After a batch whose outcome is unknown, or that was refused: make the next attempt able to succeed."""
        logger = log.get("ledger")
        self._wake.set()
        is_refused = isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)
        if is_refused and self._books.batch().lines:
            # A row that the table refuses must not stop all others: find it, keep what it charged.
            if line := self._books.drop_line():
                logger.error("usage row refused", error=repr(error), row=line.begun.decode())
            return
        if is_refused or getattr(error, "sqlstate", None) == store.FENCED:
            logger.error("fenced, or at odds with the database: begins anew", error=repr(error))
            self._begin_anew()
        else:
            logger.warning("the ledger's batch will be sent again", error=repr(error))
            self._disconnect()
        self._backoff_s = min(max(0.05, self._backoff_s * 2), BACKOFF_S_MAX)
        await asyncio.sleep(self._backoff_s * random.uniform(0.5, 1.0))

    def _begin_anew(self) -> None:
        self._process_id = None
        self._books.fenced()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._flush_statement = None


def arguments(process_id: ProcessId, batch: Batch) -> tuple[object, ...]:
    """The parameters of `store.FLUSH`."""
    return (
        process_id,
        batch.number,
        LIVE_S,
        [ask.pool.id for ask in batch.asks],
        [ask.charged for ask in batch.asks],
        [ask.returned for ask in batch.asks],
        [ask.need for ask in batch.asks],
        [ask.least for ask in batch.asks],
        [ask.wish for ask in batch.asks],
        rows.limits_document(batch.limits) if batch.limits else None,
        rows.document([rows.line(line.begun, line.cost, line.charged) for line in batch.lines]),
    )
