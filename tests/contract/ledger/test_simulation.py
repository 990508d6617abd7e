"""Whatever happens in whatever order, every micro-credit is accounted for, and every call is settled once.

A seeded simulation: `HYPEREAL_TEST_SEEDS=200-400` runs others than the usual ones; a failure names its seed.
"""

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.support import simulation
from tests.support.ledger import Caller, usage_row
from tests.support.simulation import Backup, Clock, Host, Lost, Node, Settled, settle, settle_untold

from hypereal.kit.db import Database
from hypereal.kit.ids import AccountId, KeyId, new_id
from hypereal.kit.money import Micro
from hypereal.ledger import Terms, close_dead, store
from hypereal.ledger import books as books_module
from hypereal.ledger import ledger as ledger_module
from hypereal.ledger import reclaim as reclaim_module
from hypereal.ledger import spool as spool_module

SEEDS = range(40)
STEPS = 90
SECONDS_MAX = 60.0
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
FATES = ["arrives", "arrives", "arrives", "request is lost", "answer is lost", "lost while it registers"]


def seeds() -> range:
    given = os.environ.get("HYPEREAL_TEST_SEEDS")
    if given is None:
        return SEEDS
    first, _, last = given.partition("-")
    return range(int(first), int(last or first) + 1)


class World:
    """One run: two hosts, two processes each, two wallets, and a key with a limit."""

    def __init__(self, database: Database, connection: "asyncpg.Connection[asyncpg.Record]", folder: Path) -> None:
        self.database = database
        self.connection = connection
        self.folder = folder
        self.clock = Clock()
        self.trace: list[str] = []

    async def begin(self, seed: int) -> None:
        self.seed = random.Random(seed)
        self.trace.clear()
        await self.connection.execute(
            "DELETE FROM usage; DELETE FROM usage_refused; DELETE FROM entries; DELETE FROM leases; "
            "DELETE FROM processes; DELETE FROM pools WHERE kind <> 'house'"
        )
        self.backup = Backup(self.connection)
        self.hosts = [Host(self.database, self.folder / f"{seed}-{name}") for name in "ab"]
        self.settled: dict[str, Settled] = {}
        self.may_be_lost: set[str] = set()
        self.went_back = False
        self.started = 0
        self.limit = Micro(self.seed.randint(20, 150))
        self.callers = []
        for is_limited in (False, True, False):
            owner = AccountId(new_id("acc")) if not is_limited else self.callers[0].owner_id
            if not is_limited:
                await self.connection.execute(
                    "INSERT INTO accounts (id, kind, name) VALUES ($1, 'person', 'Ada')", owner
                )
                await store.make_wallet(self.connection, owner)
                await self.top_up(owner, self.seed.randint(50, 400))
            self.callers.append(
                Caller(owner_id=owner, key_id=KeyId(new_id("key")), spending_limit=self.limit if is_limited else None)
            )
        self.nodes = [self.start(host) for host in self.hosts for _ in range(2)]
        self.tempt()

    def start(self, host: Host) -> Node:
        self.started += 1
        terms = Terms(
            instance_id=f"{host.root.name}/{self.started}",
            balance_min=Micro(0),
            spool_dir=host.root,
            lease_offline_s=simulation.OFFLINE_S,
        )
        return Node(self.database, host, f"process {self.started}", terms)

    # -- what callers do

    async def hold(self, node: Node) -> None:
        caller = self.seed.choice(self.callers)
        amount = Micro(self.seed.choice([0, 1, 5, 20, 60]))
        hold = node.hold_now(caller, amount)
        if hold is not None:
            node.holds.append((hold, caller))
            await self.is_live(node)
        else:
            node.tickets.append((node.hold(caller, amount, lambda: None), caller))
            node.collect()

    async def is_live(self, node: Node) -> None:
        """Nothing is held from a lease that is gone. Only a database that went back may be ahead of us."""
        if not self.went_back:
            row = await store.read_process(self.connection, node._process_id)
            assert row is not None and row["state"] == "live", "held on a stale lease"

    async def settle(self, node: Node) -> None:
        for _ in range(self.seed.randint(1, 3)):
            if node.holds:
                request_id, settled = settle_untold(
                    node, self.seed.randrange(99), self.seed.choice([0, 1, 5, 20, 60, 90])
                )
                self.settled[request_id] = settled
        if self.seed.random() < 0.8:
            node.tell()

    async def refuse(self, node: Node) -> None:
        row = usage_row(self.seed.choice(self.callers), status=402)
        spool = node._spool
        node.record(row)
        self.settled[row.details.request_id] = Settled(0, 0, node, spool, spool.position)

    async def grow(self, node: Node) -> None:
        if node.holds:
            node.grow(self.seed.choice(node.holds)[0], Micro(self.seed.randint(1, 40)), lambda: None)

    async def leave(self, node: Node) -> None:
        if node.tickets:
            ticket, _ = node.tickets.pop(self.seed.randrange(len(node.tickets)))
            node.cancel(ticket)

    # -- what the network, the machines and time do

    async def flush(self, node: Node) -> None:
        await node.flush(self.seed.choice(FATES))

    async def old_batch_arrives(self, node: Node) -> None:
        if node.sent:
            try:
                await self.connection.fetch(store.FLUSH, *self.seed.choice(node.sent))
            except asyncpg.PostgresError as error:
                if error.sqlstate != store.FENCED:
                    raise

    async def keep(self, node: Node) -> None:
        await node._spool.keep()

    async def lose_disk(self, node: Node) -> None:
        node.lose_disk()

    async def mend_disk(self, node: Node) -> None:
        node._spool._tried_s = -1e9
        await node._spool.keep()

    async def stop(self, node: Node) -> None:
        node.is_stopped = True

    async def cut_off(self, node: Node) -> None:
        node.is_cut_off = True

    async def heal(self, node: Node) -> None:
        """It goes on at once, before it hears of what was done meanwhile."""
        node.is_stopped = False
        for _ in range(4):
            await self.hold(node)
        node.is_cut_off = False

    async def oversleep(self, node: Node) -> None:
        """With credit to spend: others may end its leases meanwhile."""
        for _ in range(3):
            await self.hold(node)
            await node.flush("arrives")
        await self.settle(node)
        await self.seed.choice([self.stop, self.cut_off])(node)
        await self.much_time_passes(node)
        await self.heal(node)

    async def kill(self, node: Node) -> None:
        node.die()
        self.memory_is_gone(node)
        self.nodes[self.nodes.index(node)] = self.start(node.host)

    async def host_goes_down(self, node: Node) -> None:
        host = node.host
        for one in self.nodes:
            if one.host is host:
                one.lose_unsynced(self.seed)
                for request_id, settled in self.settled.items():
                    if settled.node is one and settled.end > settled.spool._synced:
                        self.may_be_lost.add(request_id)
                await self.kill(one)
        host.restart()

    def memory_is_gone(self, node: Node) -> None:
        self.may_be_lost.update(node.untold)
        for request_id, settled in self.settled.items():
            if settled.node is node and not settled.spool.has(settled.end):
                self.may_be_lost.add(request_id)

    async def reclaim(self, node: Node) -> None:
        node.host.database.statements_left = self.seed.choice([None, None, 3, 4, 5, 6, 7])
        try:
            await node.host.reclaimer.settle_left()
        except Lost:
            pass
        node.host.database.statements_left = None

    async def supervisor_closes_a_living_one(self, node: Node) -> None:
        """It was thought dead, and finds itself fenced."""
        if node._process_id is not None:
            self.went_back = True
            await store.close_process(self.connection, node._process_id, self.seed.choice(["closed", "dead"]))

    async def time_passes(self, _: Node) -> None:
        await self.pass_s(self.seed.choice([0.02, 1.0, 9.0]))

    async def much_time_passes(self, _: Node) -> None:
        for _ in range(self.seed.randint(8, 16)):
            await self.pass_s(9.0)

    async def pass_s(self, passed_s: float) -> None:
        self.clock.now_s += passed_s
        await self.connection.execute(
            "UPDATE processes SET live_until = live_until - make_interval(secs => $1) WHERE state = 'live'", passed_s
        )
        await self.connection.execute(
            "UPDATE pools SET recalled_at = recalled_at - make_interval(secs => $1)", passed_s
        )
        for node in self.nodes:
            if not node.is_stopped:
                node._books.sweep()
                if self.clock.now_s - node._sent_s >= ledger_module.HEARTBEAT_S - 2:
                    await node.flush("arrives")
        for host in self.hosts:
            noted = host.reclaimer._overdue
            for process_id, (live_until, since_s) in noted.items():
                noted[process_id] = (live_until - timedelta(seconds=passed_s), since_s)
            await host.reclaimer._bury_lost()

    async def go_back(self, _: Node) -> None:
        """The database's standby takes over, and had not heard of everything."""
        if not self.backup.is_taken:
            await self.backup.take()
        else:
            self.went_back, self.backup.is_taken = True, False
            await self.backup.restore()
            for request_id, settled in self.settled.items():
                if not settled.spool.has(settled.end) and settled.end <= settled.spool.acked:
                    self.may_be_lost.add(request_id)

    # -- what people do

    async def top_up(self, owner: AccountId, amount: int) -> None:
        facts = ("gift", "test", new_id("x"), "")
        await store.add_entry(self.connection, store.PoolId("house/gifts"), store.PoolId(owner), amount, facts)
        await store.fund(self.connection, owner, amount)

    async def pay(self, _: Node) -> None:
        await self.top_up(self.seed.choice(self.callers).owner_id, self.seed.randint(1, 50))

    async def change_limit(self, _: Node) -> None:
        limited = self.callers[1]
        self.limit = Micro(self.seed.randint(0, 150))
        self.callers[1] = Caller(owner_id=limited.owner_id, key_id=limited.key_id, spending_limit=self.limit)

    async def recall(self, node: Node) -> None:
        for pool_id in list(node._books._pools):
            node._books.recall(pool_id)

    # -- the run

    def tempt(self) -> None:
        """Each run has its own idea of what happens often, so that rare things meet."""
        self.weights = [weight * self.seed.choice([0.2, 1, 1, 5]) for weight, _ in self.steps]

    @property
    def steps(self) -> list[tuple[int, Callable[[Node], Awaitable[None]]]]:
        return [
            (20, self.hold), (20, self.settle), (16, self.flush), (2, self.refuse), (2, self.grow), (1, self.leave),
            (2, self.old_batch_arrives), (3, self.keep), (1, self.lose_disk), (2, self.mend_disk), (2, self.stop),
            (2, self.cut_off), (2, self.heal), (3, self.kill), (1, self.host_goes_down), (4, self.reclaim),
            (1, self.supervisor_closes_a_living_one), (1, self.oversleep), (2, self.time_passes),
            (1, self.much_time_passes), (1, self.go_back), (2, self.pay), (1, self.change_limit), (1, self.recall),
        ]  # fmt: skip

    async def step(self) -> None:
        node = self.seed.choice(self.nodes)
        [do] = self.seed.choices([do for _, do in self.steps], self.weights)
        self.trace.append(f"{do.__name__} {node.name}")
        local = (self.hold, self.settle, self.refuse, self.grow, self.leave, self.recall)
        if node.is_stopped and do in (*local, self.flush, self.keep, self.oversleep):
            return
        await do(node)
        await (self.check_books() if do in local else self.check())

    async def check(self) -> None:
        """The invariants of docs/money.md."""
        assert [dict(row) for row in await store.differences(self.connection, 10)] == []
        for caller in self.callers:
            wallet = await store.read_wallet(self.connection, caller.owner_id)
            assert wallet is None or wallet["free"] >= 0
        await self.check_books()

    async def check_books(self) -> None:
        for node in self.nodes:
            for pool in node._books._pools.values():
                held = sum(
                    hold.amount for hold, _ in node.holds if pool in hold.pools and hold.epoch == node._books._epoch
                )
                assert pool.leased == pool.free + held + pool.charged
                assert min(pool.free, pool.charged, pool.leased) >= 0

    async def end(self) -> None:
        """All is well again, and calls end: nothing may be missing, nothing may be left."""
        for node in self.nodes:
            node.is_stopped = node.is_cut_off = False
            for _ in range(20):
                while node.holds:
                    request_id, settled = settle(node, 0, 7)
                    self.settled[request_id] = settled
                node.tell()
                if not node._books.has_work and node._process_id is not None:
                    break
                self.clock.now_s += books_module.RECALL_S
                await node.flush("arrives")
            assert not node._books.has_work
            await node.close()
            await self.check()
        for host in self.hosts:
            await host.reclaimer.settle_left()
        await self.check()
        for instance in {row[0] for row in await self.connection.fetch("SELECT instance_id FROM processes")}:
            await close_dead(self.database, instance, [])
        await self.check()
        await self.check_log()

    async def check_log(self) -> None:
        rows = await self.connection.fetch("SELECT request_id, cost, charged FROM usage")
        counted = Counter(row["request_id"] for row in rows)
        assert set(counted) <= set(self.settled)
        assert max(counted.values(), default=1) == 1
        missing = set(self.settled) - set(counted) - self.may_be_lost
        assert not missing, [self.fate_of(request_id) for request_id in missing]
        for row in rows:
            settled = self.settled[row["request_id"]]
            assert row["cost"] == settled.cost
            assert row["charged"] <= settled.told
        left = await self.connection.fetchval("SELECT sum(leased) FROM pools")
        assert left == 0
        assert await self.connection.fetchval("SELECT count(*) FROM usage_refused") == 0
        assert await self.connection.fetchval("SELECT count(*) FROM processes WHERE state = 'live'") == 0

    def fate_of(self, request_id: str) -> str:
        settled = self.settled[request_id]
        spool = settled.spool
        lost = f"lost {spool._lost}, acked {spool.acked}, position {spool.position}"
        return f"{request_id} of {settled.node.name} at {settled.end} of {spool._folder}: {lost}"


@pytest.fixture
async def hasty(database_url: str) -> AsyncIterator[Database]:
    """A database that does not wait for its disk: nothing here brings it down."""
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await connection.close()
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.timeout(300)
async def test_every_micro_credit_is_accounted_for_and_every_call_is_settled_once(
    hasty: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(database_url)
    began_s = time.monotonic()
    ran = 0
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        world = World(hasty, connection, Path(folder))
        for module in (books_module, ledger_module, reclaim_module):
            monkeypatch.setattr(module, "boottime_s", world.clock)
        monkeypatch.setattr(books_module, "time", world.clock)
        monkeypatch.setattr(ledger_module, "BACKOFF_S_MAX", 0.0)
        monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 4096)
        monkeypatch.setattr(spool_module, "KEPT_MAX", 10_000)
        for seed in seeds():
            try:
                async with asyncio.timeout(60):
                    await world.begin(seed)
                    for _ in range(STEPS):
                        await world.step()
                    await world.end()
            except BaseException:
                print(f"seed {seed}: HYPEREAL_TEST_SEEDS={seed}", *world.trace, sep="\n  ")  # noqa: T201
                raise
            finally:
                for node in world.nodes:
                    node.die()
            ran += 1
            if time.monotonic() - began_s > SECONDS_MAX and seeds() == SEEDS:
                break
    await connection.close()
    assert ran >= min(20, len(seeds()))
