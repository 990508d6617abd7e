"""Settling what others left: the spools of dead processes of this data folder, and the leases of hosts that are gone.

Whoever gets a spool's lock may do it: the next start, the supervisor after a crash, any data process on its schedule.
While the process's row is live it is settled as the process would have done, then closed. Once it is dead its leases
are gone: then LATE. Each step moves `acked`, so it can be left at any point and taken up by anybody.
"""

import asyncio
import os
import random
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from hypereal.kit import log
from hypereal.kit.clock import boot_id, boottime_s
from hypereal.kit.db import UNREACHABLE, Connection, Database
from hypereal.kit.ids import AccountId, PoolId, ProcessId
from hypereal.ledger import rows, segments, store
from hypereal.ledger.asks import Ask
from hypereal.ledger.batches import Batch, Line, arguments
from hypereal.ledger.pools import Pool
from hypereal.ledger.segments import Identity, Record, Segment
from hypereal.ledger.spool import KEEP_S, UNFINISHED, identity_of, lock

LOOK_S = 10.0
UNFINISHED_S_MAX = 60.0
"""How long the making of a spool can take."""
RECORDS_PER_BATCH = 1_000
TRIES_MAX = 5
QUARANTINE = "quarantine"

logger = log.get("ledger")


class NotSettled(Exception):
    """A spool's rest could not be settled; it stays as it is, to be tried again."""


class Reclaimer:
    """Looks every ten seconds, or when told to. ROOT holds the spools of this data folder."""

    def __init__(self, database: Database, root: Path | None, offline_s: float) -> None:
        self._database = database
        self._root = root
        self._offline_s = offline_s
        self._look_s = min(LOOK_S, offline_s / 4)
        self._wake = asyncio.Event()
        self._overdue: dict[ProcessId, tuple[datetime, float]] = {}
        """Processes that were not heard of: when they should have been, and since when we wait (boot time)."""
        self._looked_s = 0.0
        self._settled: dict[str, int] = {}
        """Folders with nothing left in them -> how far the database had them."""
        self._renumbered: dict[str, ProcessId] = {}
        """Folders whose process the database does not know -> the number under which they are settled."""
        self.quarantined = 0
        """Damaged files that were moved aside, and lie there still."""

    def look(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.settle_left()
                await self._bury_lost()
            except (asyncpg.PostgresError, *UNREACHABLE) as error:
                logger.warning("what others left is not settled yet", error=repr(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._look_s * random.uniform(0.8, 1.2))
            self._wake.clear()

    async def settle_left(self) -> None:
        """Settle every spool that nobody holds."""
        if self._root is None or not self._root.is_dir():
            return
        for folder in sorted(self._root.iterdir()):
            identity = identity_of(folder)
            if identity is None and not folder.name.startswith(UNFINISHED):
                continue
            fd = _locked(folder)
            if fd is None:
                continue
            try:
                if identity is None:
                    if _age_s(folder) > UNFINISHED_S_MAX:
                        shutil.rmtree(folder)
                else:
                    await self._settle(folder, identity)
            except UNREACHABLE:
                raise
            except (asyncpg.PostgresError, msgspec.MsgspecError, NotSettled) as error:
                logger.error("a spool is not settled", spool=folder.name, error=repr(error))
            finally:
                os.close(fd)
        aside = self._root / QUARANTINE
        self.quarantined = len(list(aside.iterdir())) if aside.is_dir() else 0

    async def _settle(self, folder: Path, identity: Identity) -> None:
        async with self._database.connection() as connection:
            if identity.cluster != await store.read_cluster(connection):
                if folder.name not in self._settled:
                    logger.error("a spool of another database is left alone", spool=folder.name)
                    self._settled[folder.name] = 0
                return
            left = await Left.of(connection, identity, self._renumbered.get(folder.name))
            self._renumbered[folder.name] = left.process_id
            if left.state != "closed" or self._settled.get(folder.name) != left.acked:
                for path in _settleable(folder, left.acked):
                    await _settle_file(left, path)
                await left.close()
                self._settled[folder.name] = left.acked
        if _age_s(folder) > KEEP_S:
            shutil.rmtree(folder)
            self._settled.pop(folder.name, None)
            self._renumbered.pop(folder.name, None)

    async def _bury_lost(self) -> None:
        """End the leases of processes that were not heard of for OFFLINE_S of our own steady looking.

        After an outage of the database nobody looked, so nobody is buried: all have time to be heard of again.
        """
        async with self._database.connection() as connection:
            overdue = await store.overdue_processes(connection)
            now_s = boottime_s()
            if now_s - self._looked_s > 3 * self._look_s:
                self._overdue.clear()
            self._looked_s = now_s
            watched: dict[ProcessId, tuple[datetime, float]] = {}
            for process_id, live_until in overdue.items():
                known, since_s = self._overdue.get(process_id, (live_until, now_s))
                watched[process_id] = (live_until, since_s if known == live_until else now_s)
            self._overdue = watched
            for process_id, (live_until, since_s) in watched.items():
                if now_s - since_s >= self._offline_s and await store.close_process(
                    connection, process_id, "dead", live_until
                ):
                    logger.error("a process was not heard of: its leases are ended", number=process_id)


async def close_dead(
    database: Database, instance_id: str, alive_pids: Collection[int], spool_dir: Path | None = None
) -> int:
    """Settle and close the data processes of this instance that do not run any more; returns how many had no spool.

    Their leases go back. A call that such a process had not settled costs its customer nothing.
    """
    await Reclaimer(database, spool_dir, float("inf")).settle_left()
    async with database.connection() as connection:
        cluster = await store.read_cluster(connection)
        spooled = list(_spooled(spool_dir, cluster))
        dead = await store.dead_processes(connection, instance_id, boot_id(), list(alive_pids), spooled)
        return sum([await store.close_process(connection, process_id) for process_id in dead])


class Left:
    """A process that is gone, as the database has it, while the rest of its spool is settled."""

    def __init__(self, connection: Connection, process_id: ProcessId) -> None:
        self._connection = connection
        self.process_id = process_id
        self.state = "dead"
        self.acked = 0

    @classmethod
    async def of(cls, connection: Connection, identity: Identity, other: ProcessId | None) -> "Left":
        """The process of a spool. OTHER: the number that it had when it was looked at last.

        Where the database knows neither, it went back to before the process was there: all is LATE, under a new number.
        """
        for process_id in dict.fromkeys((identity.process_id, other or identity.process_id)):
            left = cls(connection, process_id)
            if await left._read() and identity.owns(left.acked):
                return left
        logger.error("the database does not know a process: its spool is settled late", number=identity.process_id)
        left = cls(connection, await store.open_dead(connection, f"spool {identity.process_id}", identity.start))
        left.acked = identity.start
        return left

    async def settle(self, records: list[Record]) -> None:
        """Apply RECORDS, which are in order, unless they were. Raises PostgresError where the database will not."""
        ways: Iterator[Callable[[list[Record]], Awaitable[None]]] = iter((self._flush, self._flush_carefully))
        way = next(ways)
        for _ in range(TRIES_MAX):
            records = [record for record in records if record.start >= self.acked]
            if not records:
                return
            if records[0].start > self.acked:
                logger.error("records are missing in a spool", number=self.process_id, since=self.acked)
            try:
                await (way if self.state == "live" else self._late)(records)
                self.acked = records[-1].end
            except asyncpg.DeadlockDetectedError:
                continue
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
                if self.state != "live":
                    raise
                if (following := next(ways, None)) is not None:
                    way = following  # the log's table may have refused a row
                else:  # the leases are not what they were, in a database that went back in time
                    await store.close_process(self._connection, self.process_id, "dead")
                    await self._read()
            except asyncpg.PostgresError as error:
                if error.sqlstate != store.FENCED or not await self._read():
                    raise
        raise NotSettled(f"process {self.process_id} at {self.acked}")

    async def close(self) -> None:
        """All is settled."""
        if self.state != "closed":
            await store.close_process(self._connection, self.process_id)

    async def _read(self) -> bool:
        found = await store.read_process(self._connection, self.process_id)
        if found is None:
            return False
        self.state, self.acked = found["state"], found["acked"]
        return True

    async def _flush(self, records: list[Record], *, is_careful: bool = False) -> None:
        batch = _batch(self.acked, records)
        await self._connection.fetch(store.FLUSH, *arguments(self.process_id, batch, 0.0, is_careful=is_careful))

    async def _flush_carefully(self, records: list[Record]) -> None:
        await self._flush(records, is_careful=True)

    async def _late(self, records: list[Record]) -> None:
        span = (self.acked, records[-1].end)
        said = rows.document([record.content for record in records if record.content])
        await store.settle_late(self._connection, self.process_id, span, said)


def _batch(start: int, records: list[Record]) -> Batch:
    """RECORDS as their process would have sent them."""
    pools: dict[PoolId, Pool] = {}
    asks: dict[PoolId, Ask] = {}
    lines = []
    for record in records:
        if not record.content:
            continue
        settled = rows.read(record.content)
        lines.append(Line(record.content, record.end, is_late=settled.is_late))
        if settled.charged and not settled.is_late:
            for pool_id in settled.pools:
                pool = pools.setdefault(pool_id, Pool(pool_id, AccountId(settled.owner_id), None))
                ask = asks.setdefault(pool_id, Ask(pool, 0, 0, 0, 1, 0))
                ask.charged += settled.charged
    return Batch(start=start, end=records[-1].end, asks=list(asks.values()), limits=[], lines=lines, tickets=[])


async def _settle_file(left: Left, path: Path) -> None:
    segment = await asyncio.to_thread(_read, path)
    if segment is None:
        return _quarantine(path)
    if segment.cut_bytes:
        logger.warning("the end of a spool was not whole: cut", file=str(path), size_bytes=segment.cut_bytes)
    for at in range(0, len(segment.records), RECORDS_PER_BATCH):
        await left.settle(segment.records[at : at + RECORDS_PER_BATCH])
    if segment.is_damaged:
        _quarantine(path)


def _read(path: Path) -> Segment | None:
    return segments.read(path.read_bytes())


def _quarantine(path: Path) -> None:
    """What is whole in it was settled; the rest is for people."""
    aside = path.parent.parent / QUARANTINE
    aside.mkdir(mode=0o700, exist_ok=True)
    moved = path.rename(aside / f"{path.parent.name}-{path.name}")
    logger.error("a damaged file of a spool was moved aside", file=str(moved))


def _settleable(folder: Path, acked: int) -> list[Path]:
    """The files of FOLDER with something after ACKED, in their order."""
    files = sorted(path for path in folder.iterdir() if path.name.isdigit())
    followed = zip(files, [*files[1:], None], strict=True)
    return [path for path, following in followed if following is None or int(following.name) > acked]


def _age_s(folder: Path) -> float:
    """Since something in it was written."""
    return time.time() - max((path.stat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime)


def _locked(folder: Path) -> int | None:
    try:
        return lock(folder)
    except OSError:  # gone meanwhile, or a file
        return None


def _spooled(root: Path | None, cluster: UUID) -> Iterator[ProcessId]:
    if root is not None and root.is_dir():
        for folder in root.iterdir():
            identity = identity_of(folder)
            if identity is not None and identity.cluster == cluster:
                yield identity.process_id
