"""What a process leaves when it dies, stops or is cut off, and who settles it; and what happens without a disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from tests.support.ledger import Caller, held, make_account, micro, usage_row
from tests.support.simulation import Backup, Clock, Host, Node, settle

from hypereal.kit.db import Database, Feed
from hypereal.kit.errors import Overloaded
from hypereal.kit.ids import ProcessId
from hypereal.ledger import Ledger, Terms, audit, balance, close_dead, store
from hypereal.ledger import books as books_module
from hypereal.ledger import ledger as ledger_module
from hypereal.ledger import reclaim as reclaim_module
from hypereal.ledger.reclaim import QUARANTINE, Reclaimer
from hypereal.ledger.spool import UNFINISHED

Start = Callable[..., Node]


@pytest.fixture
async def host(database: Database, tmp_path: Path) -> Host:
    return Host(database, tmp_path / "spool")


@pytest.fixture
async def start(database: Database, host: Host, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Processes that take no step by themselves."""
    monkeypatch.setattr(ledger_module, "BACKOFF_S_MAX", 0.0)
    nodes: list[Node] = []

    def begin(**terms: object) -> Node:
        given = {"instance_id": f"{len(nodes)}", "balance_min": micro(0), "spool_dir": host.root, **terms}
        nodes.append(Node(database, host, f"{len(nodes)}", Terms(**given)))
        return nodes[-1]

    yield begin
    for node in nodes:
        node.die()


async def rich(database: Database, credits: float = 100) -> Caller:
    return Caller(owner_id=await make_account(database, credits))


async def hold(node: Node, caller: Caller, credits: float = 1) -> None:
    """A hold that a caller of NODE has from now on."""
    node.tickets.append((node.hold(caller, micro(credits), lambda: None), caller))
    await node.flush("arrives")
    assert node.holds


async def state_of(database: Database, process_id: ProcessId | None) -> str:
    async with database.connection() as connection:
        state: str = await connection.fetchval("SELECT state FROM processes WHERE id = $1", process_id)
    return state


async def charges(database: Database) -> list[tuple[int, int]]:
    """(cost, charged) of every row of the log."""
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT cost, charged FROM usage ORDER BY cost")]


async def test_what_a_killed_process_had_settled_is_charged_by_who_finds_its_spool(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller, 3)
    await hold(node, caller, 1)  # not settled: it costs nothing
    settle(node, 0, micro(2))
    node.record(usage_row(caller, status=402))
    process_id = node._process_id
    await host.reclaimer.settle_left()
    assert await charges(database) == []  # it lives
    node.die()
    await host.reclaimer.settle_left()
    await host.reclaimer.settle_left()
    assert await charges(database) == [(0, 0), (micro(2), micro(2))]
    assert await state_of(database, process_id) == "closed"
    assert (await balance(database, caller.owner_id)).free == micro(98)
    assert await audit(database) == []


async def test_supervisor_settles_spools_before_it_closes_what_has_none(database, host, start):
    caller, node, unspooled = await rich(database), start(), start(spool_dir=None)
    for one in (node, unspooled):
        await hold(one, caller)
        settle(one, 0, micro(1))
        one.die()
    assert await close_dead(database, "0", [], host.root) == 0
    assert await close_dead(database, "1", [], host.root) == 1
    assert await charges(database) == [(micro(1), micro(1))]
    assert (await balance(database, caller.owner_id)).free == micro(99)


async def test_batch_whose_answer_was_lost_is_not_applied_again_by_the_replay(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller)
    settle(node, 0, micro(1))
    await node.flush("answer is lost")
    node.die()
    await host.reclaimer.settle_left()
    assert await charges(database) == [(micro(1), micro(1))]
    assert (await balance(database, caller.owner_id)).free == micro(99)


async def test_process_that_is_not_heard_of_loses_its_leases_and_is_settled_late(database, host, start, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(reclaim_module, "boottime_s", clock)
    caller, node = await rich(database, 10), start()
    await hold(node, caller, 8)
    async with database.connection() as connection:
        await connection.execute("UPDATE processes SET live_until = now()")
    other = Host(database, host.root.parent / "elsewhere").reclaimer
    for _ in range(4):
        await other._bury_lost()
        assert await state_of(database, node._process_id) == "live"
        clock.now_s += 10
    await other._bury_lost()
    assert await state_of(database, node._process_id) == "dead"
    poorer = start()
    await hold(poorer, caller, 7)
    settle(node, 0, micro(8))  # it was stopped, and goes on
    stopped = node._process_id
    await node.flush("arrives")
    await node.flush("arrives")
    assert node._process_id != stopped
    await host.reclaimer.settle_left()
    [(cost, charged)] = await charges(database)
    assert cost == micro(8)
    assert 0 < charged <= micro(3)  # what the others had left
    assert (await balance(database, caller.owner_id)).free >= 0
    assert await state_of(database, stopped) == "closed"
    assert await audit(database) == []


async def test_after_an_outage_nobody_is_buried_who_is_heard_of_again(database, host, start, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(reclaim_module, "boottime_s", clock)
    caller, node = await rich(database), start()
    await hold(node, caller)
    async with database.connection() as connection:
        await connection.execute("UPDATE processes SET live_until = now() - interval '1 hour'")
    await host.reclaimer._bury_lost()
    clock.now_s += 3600
    await host.reclaimer._bury_lost()  # it looked an hour ago: that says nothing
    assert await state_of(database, node._process_id) == "live"
    await node.flush("arrives")
    for _ in range(10):
        clock.now_s += 10
        await host.reclaimer._bury_lost()
    assert await state_of(database, node._process_id) == "live"


async def test_stopped_process_holds_nothing_from_its_old_lease(database, start, monkeypatch):
    clock = Clock()
    for module in (books_module, ledger_module):
        monkeypatch.setattr(module, "boottime_s", clock)
    caller, node = await rich(database), start(lease_offline_s=600.0)
    await hold(node, caller, 5)
    settle(node, 0, micro(0))
    clock.now_s += 599
    assert node.hold_now(caller, micro(1)) is not None
    clock.now_s += 1
    assert node.hold_now(caller, micro(1)) is None
    assert node.hold(caller, micro(1), lambda: None).is_pending


async def test_database_that_went_back_gets_again_what_it_forgot(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller, 4)
    connection = await asyncpg.connect(database.url)
    backup = Backup(connection)
    await backup.take()
    settle(node, 0, micro(3))
    await node.flush("arrives")
    await hold(node, caller, 2)
    assert (await balance(database, caller.owner_id)).ledger == micro(97)
    await backup.restore()
    assert (await balance(database, caller.owner_id)).ledger == micro(100)
    settle(node, 0, micro(2))
    await node.flush("arrives")
    await node.flush("arrives")
    await host.reclaimer.settle_left()
    assert await charges(database) == [(micro(2), micro(2)), (micro(3), micro(3))]
    assert await audit(database) == []
    await connection.close()


async def test_heartbeat_notices_a_database_that_went_back(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller)
    connection = await asyncpg.connect(database.url)
    backup = Backup(connection)
    await backup.take()
    settle(node, 0, micro(1))
    await node.flush("arrives")
    await backup.restore()
    await node.flush("arrives")
    await node.flush("arrives")
    await host.reclaimer.settle_left()
    assert await charges(database) == [(micro(1), micro(1))]
    await connection.close()


async def test_database_that_does_not_know_a_process_settles_its_spool_under_another_number(database, host, start):
    caller = await rich(database)
    connection = await asyncpg.connect(database.url)
    backup = Backup(connection)
    await backup.take()
    node = start()
    await hold(node, caller)
    settle(node, 0, micro(1))
    await node.flush("arrives")
    node.die()
    await backup.restore()
    for _ in range(2):
        await host.reclaimer.settle_left()
        assert await charges(database) == [(micro(1), micro(1))]
        assert await audit(database) == []
    await backup.restore()  # and back again
    await host.reclaimer.settle_left()
    host.restart()
    await host.reclaimer.settle_left()
    assert await charges(database) == [(micro(1), micro(1))]
    assert await audit(database) == []
    await connection.close()


async def test_batch_that_was_applied_and_is_carried_to_another_number_is_charged_once(database, start):
    """No disk had it, and its answer was lost: the log knows it."""
    caller, node = await rich(database), start(spool_dir=None)
    await hold(node, caller)
    settle(node, 0, micro(1))
    await node.flush("answer is lost")
    async with database.connection() as connection:
        await store.close_process(connection, node._process_id, "dead")
    for _ in range(3):
        await node.flush("arrives")
    assert await charges(database) == [(micro(1), micro(1))]
    assert (await balance(database, caller.owner_id)).ledger == micro(99)
    assert await audit(database) == []


async def test_spool_of_another_database_is_left_alone(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller)
    settle(node, 0, micro(1))
    node.die()
    async with database.connection() as connection:
        await connection.execute("UPDATE cluster SET id = gen_random_uuid()")
    await host.reclaimer.settle_left()
    assert await charges(database) == []
    assert await state_of(database, node._process_id) == "live"
    assert len(list(host.root.iterdir())) == 1


async def test_damaged_file_is_set_aside_and_all_that_is_whole_in_it_settled(database, host, start):
    caller, node = await rich(database), start()
    for _ in range(3):
        await hold(node, caller)
    await node._spool.keep()
    settled = [settle(node, 0, micro(1))[1] for _ in range(3)]
    spool = node._spool
    assert spool._file is not None
    path, at = spool._file.path, settled[1].end - spool._shift - 5
    node.die()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\0")
    await host.reclaimer.settle_left()
    assert await charges(database) == [(micro(1), micro(1))] * 2
    assert host.reclaimer.quarantined == 1
    assert [path.name for path in (host.root / QUARANTINE).iterdir()] == [f"{path.parent.name}-{path.name}"]
    assert await state_of(database, node._process_id) == "closed"
    assert await audit(database) == []


async def test_old_spool_is_removed_and_a_young_one_kept_for_a_database_that_goes_back(
    database, host, start, monkeypatch
):
    caller, node = await rich(database), start()
    await hold(node, caller)
    await node.close()
    (host.root / f"{UNFINISHED}1").mkdir()
    await host.reclaimer.settle_left()
    assert len(list(host.root.iterdir())) == 2
    monkeypatch.setattr(reclaim_module, "KEEP_S", -1.0)
    monkeypatch.setattr(reclaim_module, "UNFINISHED_S_MAX", -1.0)
    await host.reclaimer.settle_left()
    assert list(host.root.iterdir()) == []


async def test_without_disk_or_database_no_call_begins_and_open_ones_settle_from_memory(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller, 3)
    await hold(node, caller, 3)
    settle(node, 0, micro(0))
    node.lose_disk()
    assert node.hold_now(caller, micro(1)) is not None  # the database is there
    node.is_cut_off = True
    await node.flush("arrives")
    node._tick()
    assert node._ticker is not None
    node._ticker.cancel()
    assert node.hold_now(caller, micro(1)) is None
    refused = node.hold(caller, micro(1), lambda: None)
    node._books.refuse_waiting(float("inf"))
    with pytest.raises(Overloaded) as refusal:
        refused.take()
    assert refusal.value.headers["retry-after"] == "5"
    settle(node, 0, micro(2))
    assert node.figures.state == "No space left on device"
    node.is_cut_off = False
    await node.flush("arrives")
    await node.flush("arrives")
    assert await charges(database) == [(0, 0), (micro(2), micro(2))]


async def test_with_a_disk_an_outage_is_served_from_what_is_leased(database, host, start):
    caller, node = await rich(database), start()
    await hold(node, caller, 3)
    settle(node, 0, micro(0))
    node.is_cut_off = True
    await node.flush("arrives")
    node._tick()
    assert node._ticker is not None
    node._ticker.cancel()
    for _ in range(3):
        now = node.hold_now(caller, micro(1))
        assert now is not None
        node.holds.append((now, caller))
        settle(node, 0, micro(1))
    assert node.figures.waiting_bytes > 1000
    node.die()
    await host.reclaimer.settle_left()
    assert sum(charged for _, charged in await charges(database)) == micro(3)
    assert await audit(database) == []


async def test_commit_is_waited_for_and_only_as_long_as_it_may_take(database, monkeypatch, tmp_path):
    caller = await rich(database)
    ledger = Ledger(
        database,
        Feed(database.url),
        Terms(instance_id="one", balance_min=micro(0), spool_dir=tmp_path, waits_for_commit=True),
    )
    await ledger.open()
    taken = await held(ledger, caller, micro(2))
    ledger.release(await held(ledger, caller, micro(2)), usage_row(caller))
    ledger.settle(taken, micro(1), ledger_module.NO_USAGE, usage_row(caller))
    assert await ledger.committed()
    assert (micro(1), micro(1)) in await charges(database)
    monkeypatch.setattr(ledger_module, "COMMIT_S_MAX", 0.05)

    async def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(ledger_module.asyncpg, "connect", refuse)
    ledger._disconnect()
    assert not await ledger.committed()
    monkeypatch.undo()
    await ledger.close()


async def test_reclaimer_goes_on_after_the_database_was_away(database, tmp_path, monkeypatch):
    monkeypatch.setattr(reclaim_module, "UNFINISHED_S_MAX", -1.0)
    gone = Database("postgresql://nobody@/nothing?host=/nowhere")
    reclaimer = Reclaimer(database, tmp_path, 0.1)
    reclaimer._database = gone
    task = asyncio.get_running_loop().create_task(reclaimer.run())
    (tmp_path / f"{UNFINISHED}1").mkdir()
    await asyncio.sleep(0)
    reclaimer._database = database
    async with asyncio.timeout(5):
        while list(tmp_path.iterdir()):
            await asyncio.sleep(0.01)
    task.cancel()
    async with database.connection() as connection:
        assert await store.overdue_processes(connection) == {}
