"""Jobs on a real PostgreSQL: run once, tried again, given up, taken over, stopped."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.jobs import Note, until, worker_process, working

from hypereal.jobs import (
    WRITTEN,
    Again,
    Context,
    Daily,
    Done,
    Every,
    Failed,
    Handler,
    Job,
    Lost,
    NewJob,
    Outcome,
    Retry,
    Schedule,
    State,
    announce,
    cancel,
    depths,
    engine,
    enqueue,
    find,
    list_jobs,
    retry,
    store,
    worker,
    write,
)
from hypereal.kit.db import Database
from hypereal.kit.errors import Conflict, NotFound
from hypereal.kit.ids import JobId


async def put(database: Database, *texts: str, kind: str = "test.note", after_s: float = 0) -> list[JobId]:
    async with database.transaction() as connection:
        jobs = [NewJob(kind=kind, payload=Note(text), after_s=after_s) for text in texts]
        ids = await enqueue(connection, *jobs)
    await announce(database)
    return ids


def handler(run, **more) -> Handler:
    return Handler(**{"kind": "test.note", "payload": Note, "run": run, "retry_s": 0.01, **more})


def giving(*outcomes: Outcome | Exception, seen: list[Job] | None = None) -> Handler:
    """One that comes to OUTCOMES one after another, then is done."""
    left = list(outcomes)

    async def run(_: Context, job: Job) -> Outcome:
        if seen is not None:
            seen.append(job)
        outcome = left.pop(0) if left else Done()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return handler(run)


async def test_a_job_is_run_with_its_payload_and_done(database: Database):
    seen: list[Job] = []
    [job_id] = await put(database, "hello")
    async with working(database, giving(seen=seen)):
        row = await until(database, job_id, State.DONE)
    [job] = seen
    assert (job.payload, job.attempts, job.owner_id) == (Note("hello"), 1, "acc_house")
    assert row.finished_at is not None


async def test_a_job_of_a_transaction_that_fails_never_was(database: Database):
    async def fail() -> None:
        async with database.transaction() as connection:
            await enqueue(connection, NewJob(kind="test.note", payload=Note()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await list_jobs(database) == []


async def test_each_of_many_jobs_is_run_once_over_many_engines(database: Database):
    runs: Counter[str] = Counter()

    async def run(_: Context, job: Job) -> Outcome:
        runs[job.id] += 1
        await asyncio.sleep(0)
        return Done()

    ids = await put(database, *map(str, range(300)))
    async with working(database, handler(run)), working(database, handler(run)), working(database, handler(run)):
        for job_id in ids:
            await until(database, job_id, State.DONE)
    assert runs == Counter(ids)


async def test_a_job_waits_for_its_time(database: Database):
    began = time.monotonic()
    [job_id] = await put(database, "later", after_s=0.5)
    async with working(database, giving()):
        await until(database, job_id, State.DONE)
    assert time.monotonic() - began >= 0.5


async def test_no_more_run_at_once_than_is_said(database: Database):
    running = 0
    most = 0

    async def run(_: Context, __: Job) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return Done()

    ids = await put(database, *"abcdefghij")
    async with working(database, handler(run, concurrency_max=3)):
        for job_id in ids:
            await until(database, job_id, State.DONE)
    assert most == 3


async def test_polls_are_no_failures(database: Database):
    seen: list[Job] = []
    [job_id] = await put(database, "poll")
    polls = [Again(after_s=0.01, reason="polling")] * 5
    async with working(database, giving(Retry(error="not yet"), *polls, seen=seen)):
        row = await until(database, job_id, State.DONE)
    assert [job.attempts for job in seen] == [1, 2, 1, 1, 1, 1, 1]
    assert row.last_error == "not yet"


async def test_what_it_waits_for_is_told(database: Database):
    at = datetime.now(UTC) + timedelta(hours=2)
    [job_id] = await put(database, "poll")
    async with working(database, giving(Again(at=at, reason="queued upstream"))):
        async with asyncio.timeout(5):
            while (row := await find(database, job_id)).waiting is None:
                await asyncio.sleep(0.01)
    assert (row.waiting, row.state, row.due_at) == ("queued upstream", State.QUEUED, at)


async def test_a_failure_is_tried_again_and_then_kept_as_a_dead_letter(database: Database):
    seen: list[Job] = []
    [job_id] = await put(database, "bad")
    failing = giving(ValueError("no\0such"), Retry(error="twice"), Retry(error="thrice"), seen=seen)
    async with working(database, Handler(kind="test.note", payload=Note, run=failing.run, retry_s=0, attempts_max=3)):
        row = await until(database, job_id, State.FAILED)
        assert (row.attempts, row.last_error) == (3, "thrice")
        [depth] = await depths(database)
        assert (depth.failed, depth.due) == (1, 0)
        await retry(database, job_id)
        row = await until(database, job_id, State.DONE)
    assert [job.attempts for job in seen] == [1, 2, 3, 1]


async def test_a_failure_for_good_is_not_tried_again(database: Database):
    [job_id] = await put(database, "bad")
    async with working(database, giving(Failed("never"))):
        row = await until(database, job_id, State.FAILED)
    assert (row.attempts, row.last_error) == (1, "never")


async def test_a_payload_that_cannot_be_read_is_a_dead_letter(database: Database):
    async with database.connection() as connection:
        await store.add(connection, [(JobId("job_x"), "test.note", engine.HOUSE, '{"text": 1}', 0.0)])
    async with working(database, giving()):
        row = await until(database, JobId("job_x"), State.FAILED)
    assert "payload" in (row.last_error or "")


async def test_a_handler_that_takes_too_long_is_stopped(database: Database):
    async def run(_: Context, __: Job) -> Outcome:
        await asyncio.sleep(60)
        return Done()

    [job_id] = await put(database, "slow")
    async with working(database, handler(run, timeout_s=0.05, attempts_max=1)):
        row = await until(database, job_id, State.FAILED)
    assert "0.05 s" in (row.last_error or "")


async def test_an_outcome_can_be_written_with_what_it_changes(database: Database):
    async def run(context: Context, job: Job) -> Outcome:
        async with context.database.transaction() as connection:
            await write(connection, job, Done())
            await enqueue(connection, NewJob(kind="test.other", payload=Note("next")))
        return WRITTEN

    [job_id] = await put(database, "first")
    async with working(database, handler(run)):
        await until(database, job_id, State.DONE)
    assert [row.kind for row in await list_jobs(database, state=State.QUEUED)] == ["test.other"]


async def test_a_cancelled_job_is_stopped_and_changes_nothing(database: Database):
    began, was_stopped = asyncio.Event(), asyncio.Event()

    async def run(context: Context, job: Job) -> Outcome:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            was_stopped.set()
            with pytest.raises(Lost):
                async with context.database.transaction() as connection:
                    await write(connection, job, Done())
        return Done()

    [job_id] = await put(database, "long")
    async with working(database, handler(run)), asyncio.timeout(5):
        await began.wait()
        await cancel(database, job_id)
        await was_stopped.wait()
    assert (await find(database, job_id)).state == State.CANCELLED
    with pytest.raises(Conflict):
        await cancel(database, job_id)
    with pytest.raises(NotFound):
        await cancel(database, JobId("job_none"))


async def test_stopping_lets_handlers_end_and_gives_the_rest_back(database: Database):
    began = asyncio.Event()

    async def run(_: Context, job: Job) -> Outcome:
        began.set()
        await asyncio.sleep(60 if job.payload.text == "long" else 0.1)
        return Done()

    short, long, *rest = await put(database, "short", "long", "rest")
    async with working(database, handler(run, concurrency_max=2), drain_s=0.5), asyncio.timeout(5):
        await began.wait()
    assert (await find(database, short)).state == State.DONE
    for job_id in (long, *rest):
        row = await find(database, job_id)
        assert row.state == State.QUEUED
        assert row.due_at <= datetime.now(UTC)


# -- schedules --------------------------------------------------------------------------------------------------------


async def test_a_schedule_fires_once_over_all_engines(database: Database):
    runs = 0

    async def run(_: Context) -> None:
        nonlocal runs
        runs += 1

    schedules = [Schedule(kind="test.tick", when=Every(0.5), run=run)]
    began = time.monotonic()
    async with (
        working(database, schedules=schedules),
        working(database, schedules=schedules),
        working(database, schedules=schedules),
        asyncio.timeout(10),
    ):
        while runs < 3:
            await asyncio.sleep(0.01)
    assert time.monotonic() - began >= 1.5
    [row] = await list_jobs(database)
    assert (row.id, row.waiting) == ("schedule/test.tick", "scheduled")


async def test_a_schedule_outlives_its_failures(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "RETRY_S_MAX", 0.01)
    runs = 0

    async def run(_: Context) -> None:
        nonlocal runs
        runs += 1
        raise ValueError(f"number {runs}")

    async with working(database, schedules=[Schedule(kind="test.tick", when=Every(0.05), run=run)]):
        async with asyncio.timeout(10):
            while runs < 7:
                await asyncio.sleep(0.01)
    row = await find(database, JobId("schedule/test.tick"))
    assert row.state == State.QUEUED
    assert "number" in (row.last_error or "")


@pytest.mark.parametrize(
    ("planned", "now", "following"),
    [
        ("2026-03-01T03:00", "2026-03-01T03:00:05", "2026-03-02T03:00"),
        ("2026-03-01T03:00", "2026-03-01T02:59:59", "2026-03-02T03:00"),
        ("2026-03-01T03:00", "2026-03-04T02:00", "2026-03-04T03:00"),
        ("2026-03-01T01:00", "2026-03-01T01:00", "2026-03-01T03:00"),
    ],
)
def test_a_day_has_one_run_however_clocks_differ(planned: str, now: str, following: str):
    at = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (planned, now, following)]
    assert Daily(3).next(at[0], at[1]) == at[2]


# -- workers that die -------------------------------------------------------------------------------------------------


async def test_another_goes_on_where_a_worker_was_killed_and_its_late_word_counts_for_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "CLAIM_S", 2.0)
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE steps (job_id text, token bigint)")
    [job_id] = await put(database, "precious")
    dying = await worker_process(database.url, claim_s=2.0)
    try:
        async with database.connection() as connection, asyncio.timeout(20):
            while not await connection.fetchval("SELECT count(*) FROM steps"):
                await asyncio.sleep(0.02)
    finally:
        dying.kill()
        await dying.wait()
    async with database.connection() as connection:
        token = await connection.fetchval("SELECT token FROM steps")
    seen: list[Job] = []
    async with working(database, giving(seen=seen)):
        await until(database, job_id, State.DONE)
    [job] = seen
    assert (job.token, job.attempts) == (token + 1, 2)
    late = store.Step(id=job_id, token=token, state="failed", error="late")
    async with database.connection() as connection:
        assert await store.write(connection, [late]) == set()
    assert (await find(database, job_id)).last_error is None


async def test_a_job_that_kills_its_workers_is_given_up(database: Database):
    [job_id] = await put(database, "poison")
    async with database.connection() as connection:
        for _ in range(3):
            assert await store.claim(connection, ["test.note"], [1], 0.0)
    seen: list[Job] = []
    run = giving(seen=seen).run
    async with working(database, handler(run, attempts_max=3)):
        row = await until(database, job_id, State.FAILED)
    assert (seen, row.last_error) == ([], "its workers died")


async def test_a_claim_is_renewed_while_its_handler_runs(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "CLAIM_S", 0.6)
    monkeypatch.setattr(engine, "RENEW_S", 0.1)
    runs = 0

    async def run(_: Context, __: Job) -> Outcome:
        nonlocal runs
        runs += 1
        await asyncio.sleep(1.5)
        return Done()

    [job_id] = await put(database, "long")
    async with working(database, handler(run)), working(database, handler(run)):
        row = await until(database, job_id, State.DONE)
    assert (runs, row.attempts) == (1, 1)


async def test_a_worker_whose_claim_was_taken_stops_its_handler(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "RENEW_S", 0.05)
    was_stopped = asyncio.Event()

    async def run(_: Context, __: Job) -> Outcome:
        try:
            await asyncio.sleep(60)
        finally:
            was_stopped.set()
        return Done()

    [job_id] = await put(database, "long")
    async with working(database, handler(run)):
        await until(database, job_id, State.RUNNING)
        async with database.connection() as connection, asyncio.timeout(5):
            await connection.execute("UPDATE jobs SET token = token + 1 WHERE id = $1", job_id)
            await was_stopped.wait()


# -- what is kept -----------------------------------------------------------------------------------------------------


async def test_finished_jobs_are_deleted_in_time_and_dead_letters_later(database: Database):
    ids = dict(zip(("done", "failed", "cancelled", "queued"), await put(database, *"abcd"), strict=True))
    async with database.connection() as connection:
        for state, job_id in list(ids.items())[:3]:
            await connection.execute(
                "UPDATE jobs SET state = $2, finished_at = now() - interval '8 days' WHERE id = $1", job_id, state
            )
    working_context = Context(database=database, settings=None)  # type: ignore[arg-type]
    await worker.sweep(working_context)
    assert {row.state.value for row in await list_jobs(database)} == {"failed", "queued"}
    async with database.connection() as connection:
        await connection.execute("UPDATE jobs SET finished_at = now() - interval '91 days' WHERE state = 'failed'")
    await worker.sweep(working_context)
    assert [row.state for row in await list_jobs(database)] == [State.QUEUED]


async def test_pages_of_the_queue_follow_each_other(database: Database):
    ids = await put(database, *map(str, range(120)))
    first = await list_jobs(database)
    second = await list_jobs(database, after=first[-1].id)
    assert [row.id for row in (*first, *second)] == sorted(ids)
