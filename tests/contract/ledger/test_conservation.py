"""Whatever happens in whatever order, every micro-credit is accounted for: the real statements, driven step by step.

The machine plays several data processes on one wallet, a network that loses requests and answers, and the clock.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.ledger import USAGE, Caller, usage_row

from hypereal.kit.ids import AccountId, KeyId, ProcessId, new_id
from hypereal.kit.money import Micro
from hypereal.ledger import Hold, Ticket, store
from hypereal.ledger import books as books_module
from hypereal.ledger.books import Batch, Books
from hypereal.ledger.ledger import arguments
from hypereal.ledger.pools import Standing

Result = TypeVar("Result")

AMOUNTS = st.integers(0, 60)
FATE = st.sampled_from(["arrives", "request is lost", "answer is lost"])
FATES = st.lists(FATE, max_size=3)
"""Of the batches sent after a caller's step."""


class Clock:
    """Time that passes when the machine says so; a stand-in for the module `time`."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


class Process:
    """A data process without its loop: the books, its number, and what its callers have."""

    def __init__(self) -> None:
        self.books = Books(Micro(0))
        self.books.live_until_s = float("inf")
        self.id: ProcessId | None = None
        self.tickets: list[tuple[Ticket, Caller]] = []
        self.holds: list[tuple[Hold, Caller]] = []
        self.former: tuple[ProcessId, Batch] | None = None


class Wallets(RuleBasedStateMachine):
    """One wallet, a key with a limit and one without, up to three processes."""

    loop: asyncio.AbstractEventLoop
    connection: "asyncpg.Connection[asyncpg.Record]"
    clock: Clock

    def do(self, work: Coroutine[object, object, Result]) -> Result:
        return self.loop.run_until_complete(work)

    @initialize(funded=st.integers(1, 300), limit=st.integers(0, 200))
    def begin(self, funded: int, limit: int) -> None:
        self.owner_id = AccountId(new_id("acc"))
        self.key_id = KeyId(new_id("key"))
        self.limit = limit
        self.charged = 0
        self.was_killed = False
        self.processes = [Process(), Process(), Process()]
        self.do(
            self.connection.execute("INSERT INTO accounts (id, kind, name) VALUES ($1, 'person', 'Ada')", self.owner_id)
        )
        self.do(store.make_wallet(self.connection, self.owner_id))
        self.top_up(funded, "first")

    # -- what callers do

    @rule(which=st.integers(0, 2), amount=AMOUNTS, is_limited=st.booleans(), fates=FATES)
    def hold(self, which: int, amount: int, is_limited: bool, fates: list[str]) -> None:
        process = self.processes[which]
        limit = Micro(self.limit) if is_limited else None
        caller = Caller(owner_id=self.owner_id, key_id=self.key_id, spending_limit=limit)
        process.tickets.append((process.books.hold(caller, Micro(amount), lambda: None), caller))
        self.collect(process)
        self.flush(which, fates)

    @rule(which=st.integers(0, 2), pick=st.integers(0, 99), extra=AMOUNTS, fates=FATES)
    def grow(self, which: int, pick: int, extra: int, fates: list[str]) -> None:
        process = self.processes[which]
        if process.holds:
            hold, _ = process.holds[pick % len(process.holds)]
            process.books.grow(hold, Micro(extra), lambda: None)
        self.flush(which, fates)

    @rule(which=st.integers(0, 2), pick=st.integers(0, 99), cost=st.integers(0, 100), fates=FATES)
    def settle(self, which: int, pick: int, cost: int, fates: list[str]) -> None:
        process = self.processes[which]
        if process.holds:
            hold, caller = process.holds.pop(pick % len(process.holds))
            settlement = process.books.settle(hold, Micro(cost), USAGE, usage_row(caller))
            assert settlement.charged + settlement.written_off == cost
            self.charged += settlement.charged
        self.flush(which, fates)

    @rule(which=st.integers(0, 2), pick=st.integers(0, 99))
    def leave(self, which: int, pick: int) -> None:
        process = self.processes[which]
        if process.tickets:
            ticket, _ = process.tickets.pop(pick % len(process.tickets))
            process.books.cancel(ticket)

    # -- what the network does

    def flush(self, which: int, fates: list[str]) -> None:
        for fate in fates:
            self.send_batch(which, fate)
            self.sums_agree()

    def send_batch(self, which: int, fate: str) -> None:
        process = self.processes[which]
        if process.id is None:
            process.id = self.do(store.open_process(self.connection, "test", which, "boot", 60))
        batch = process.books.batch()
        if fate == "request is lost":
            return
        standings = self.send(process.id, batch)
        if standings is None:
            process.id = None
            process.books.fenced()
            process.books.live_until_s = float("inf")
        elif fate == "arrives":
            process.former = (process.id, batch)
            process.books.applied(standings)
        self.collect(process)

    @rule(which=st.integers(0, 2))
    def an_old_packet_arrives_again(self, which: int) -> None:
        process = self.processes[which]
        if process.former is not None:
            self.send(*process.former)

    def send(self, process_id: ProcessId, batch: Batch) -> list[Standing] | None:
        """None where the process is fenced. Whatever it asks for, it gets no more than is free."""
        before = self.leased_of_pools()
        try:
            answers = self.do(self.connection.fetch(store.FLUSH, *arguments(process_id, batch)))
        except asyncpg.PostgresError as error:
            if error.sqlstate == store.FENCED:
                return None
            raise
        for pool_id, (leased, free) in self.leased_of_pools().items():
            assert free >= 0 or leased <= before.get(pool_id, (0, 0))[0]  # a limit may be lowered below what is leased
        return [Standing(*row) for row in answers]

    def leased_of_pools(self) -> dict[str, tuple[int, int]]:
        """Pool -> what is leased of it, what is free."""
        read = "SELECT id, leased, funded - used - leased - held FROM pools WHERE owner_id = $1"
        return {row[0]: (row[1], row[2]) for row in self.do(self.connection.fetch(read, self.owner_id))}

    # -- what other processes and the clock do

    @rule(which=st.integers(0, 2), fates=FATES)
    def notice_of_a_recall_arrives(self, which: int, fates: list[str]) -> None:
        """Of every pool, whether or not somebody is short of it: notices may come late."""
        process = self.processes[which]
        for pool_id in list(process.books._pools):
            process.books.recall(pool_id)
        self.flush(which, fates)

    @rule(passed_s=st.sampled_from([0.02, 0.2, 1.0, 3.0]))
    def time_passes(self, passed_s: float) -> None:
        self.clock.now_s += passed_s
        for process in self.processes:
            process.books.sweep()
        self.do(
            self.connection.execute(
                "UPDATE pools SET recalled_at = recalled_at - make_interval(secs => $2) WHERE owner_id = $1",
                self.owner_id,
                passed_s,
            )
        )

    # -- what operators and the supervisor do

    @rule(amount=st.integers(1, 100), reason=st.sampled_from(["a", "b", "c"]))
    def top_up(self, amount: int, reason: str) -> None:
        facts = ("gift", "test", f"{self.owner_id}:{reason}", "")
        gifts = store.PoolId("house/gifts")
        if self.do(store.add_entry(self.connection, gifts, store.PoolId(self.owner_id), amount, facts)):
            self.do(store.fund(self.connection, self.owner_id, amount))

    @rule(limit=st.integers(0, 200))
    def change_limit(self, limit: int) -> None:
        self.limit = limit

    @rule(which=st.integers(0, 2), is_noticed=st.booleans())
    def kill(self, which: int, is_noticed: bool) -> None:
        """The supervisor closes it. Where it was only thought dead, it goes on and finds itself fenced."""
        process = self.processes[which]
        if process.id is not None:
            self.was_killed = True
            self.do(store.close_process(self.connection, process.id))
            if not is_noticed:
                self.processes[which] = Process()

    # -- what must hold

    def collect(self, process: Process) -> None:
        for ticket, caller in process.tickets[:]:
            if not ticket.is_pending:
                process.tickets.remove((ticket, caller))
                if ticket.error is None:
                    process.holds.append((ticket.take(), caller))

    @precondition(lambda self: hasattr(self, "owner_id"))
    @invariant()
    def sums_agree(self) -> None:
        assert [dict(row) for row in self.do(store.differences(self.connection, 10))] == []

    @precondition(lambda self: hasattr(self, "owner_id"))
    @invariant()
    def wallet_is_never_overspent(self) -> None:
        row = self.do(store.read_wallet(self.connection, self.owner_id))
        assert row is not None
        assert row["free"] >= 0

    @precondition(lambda self: hasattr(self, "owner_id"))
    @invariant()
    def books_agree_with_themselves(self) -> None:
        for process in self.processes:
            for pool in process.books._pools.values():
                open_holds = sum(
                    hold.amount
                    for hold, _ in process.holds
                    if pool in hold.pools and hold.epoch == process.books._epoch
                )
                assert pool.leased == pool.free + open_holds + pool.charged
                assert min(pool.free, pool.charged, pool.leased) >= 0

    def teardown(self) -> None:
        if not hasattr(self, "owner_id"):
            return
        for which, process in enumerate(self.processes):
            while process.holds:
                self.settle(which, 0, 7, [])
            for _ in range(10):
                self.clock.now_s += books_module.RECALL_S
                if process.books.has_work:
                    self.send_batch(which, "arrives")
                    for hold, caller in process.holds:
                        process.books.settle(hold, Micro(0), USAGE, usage_row(caller))
                    process.holds.clear()
            assert not process.books.has_work
            if process.id is not None:
                self.do(store.close_process(self.connection, process.id))
        self.sums_agree()
        wallet = self.do(
            self.connection.fetchrow("SELECT funded, used, leased FROM pools WHERE id = $1", self.owner_id)
        )
        assert wallet is not None
        assert wallet["leased"] == 0
        if self.was_killed:
            assert wallet["used"] <= self.charged
        else:
            assert wallet["used"] == self.charged


@pytest.fixture
def machine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Wallets]]:
    clock = Clock()
    monkeypatch.setattr(books_module, "time", clock)
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(database_url))
    yield type("BoundWallets", (Wallets,), {"loop": loop, "connection": connection, "clock": clock})
    loop.run_until_complete(connection.close())
    loop.close()


def test_every_micro_credit_is_accounted_for_in_any_order(machine: type[Wallets]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
