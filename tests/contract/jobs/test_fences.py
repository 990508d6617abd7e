"""Whoever claims, stalls, dies and comes back, in whatever order: a job is ended once, by the one who has it.

The machine plays three workers on the real statements, and the clock.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.support.jobs import Note

from hypereal.jobs import NewJob, State, enqueue, store
from hypereal.kit.ids import JobId

Result = TypeVar("Result")
WORKERS = st.integers(0, 2)
CLAIM_S = 30.0
ENDS = (State.DONE, State.FAILED)


class Queue(RuleBasedStateMachine):
    """Six jobs. `holders` is who may write each; a worker keeps every token that it ever had."""

    loop: asyncio.AbstractEventLoop
    connection: "asyncpg.Connection[asyncpg.Record]"

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.do(self.connection.execute("DELETE FROM jobs"))
        self.ids = self.do(enqueue(self.connection, *(NewJob(kind="test.note", payload=Note()) for _ in range(6))))
        self.tokens: list[list[tuple[JobId, int]]] = [[], [], []]
        self.holders: dict[JobId, tuple[int, int]] = {}
        self.ended: dict[JobId, State] = {}

    @rule(worker=WORKERS, slots=st.integers(1, 3))
    def claims(self, worker: int, slots: int) -> None:
        for row in self.do(store.claim(self.connection, ["test.note"], [slots], CLAIM_S)):
            assert row["id"] not in self.holders, "it is somebody's, and the claim has not run out"
            assert row["id"] not in self.ended
            self.tokens[worker].append((row["id"], row["token"]))
            self.holders[row["id"]] = (worker, row["token"])

    @rule(worker=WORKERS, pick=st.integers(0, 5), state=st.sampled_from([*ENDS, State.QUEUED]))
    def writes(self, worker: int, pick: int, state: State) -> None:
        """With any token that it ever had: a late word of a worker that was taken for dead is one of them."""
        if not self.tokens[worker]:
            return
        job_id, token = self.tokens[worker][pick % len(self.tokens[worker])]
        step = store.Step(id=job_id, token=token, state=state)
        is_written = self.do(store.write(self.connection, [step])) == {job_id}
        assert is_written == (self.holders.get(job_id) == (worker, token))
        if is_written:
            del self.holders[job_id]
            if state in ENDS:
                self.ended[job_id] = state

    @rule(worker=WORKERS)
    def renews(self, worker: int) -> None:
        ours = self.do(store.renew(self.connection, self.tokens[worker], CLAIM_S))
        assert ours == {job_id for job_id, holder in self.holders.items() if holder[0] == worker}

    @rule(pick=st.integers(0, 5))
    def runs_out(self, pick: int) -> None:
        """A claim was not renewed in time. Its holder may write until somebody else has claimed."""
        job_id = self.ids[pick]
        if job_id in self.holders:
            query = "UPDATE jobs SET due_at = now() - interval '1 s' WHERE id = $1"
            self.do(self.connection.execute(query, job_id))
            [row] = self.do(store.claim(self.connection, ["test.note"], [1], CLAIM_S))
            self.holders[row["id"]] = (0, row["token"])
            self.tokens[0].append((row["id"], row["token"]))

    @rule(pick=st.integers(0, 5))
    def is_cancelled(self, pick: int) -> None:
        job_id = self.ids[pick]
        assert self.do(store.cancel(self.connection, job_id)) == (job_id not in self.ended)
        self.holders.pop(job_id, None)
        self.ended.setdefault(job_id, State.CANCELLED)

    @invariant()
    def rows_say_the_same(self) -> None:
        if hasattr(self, "ids"):
            rows = {row["id"]: row["state"] for row in self.do(self.connection.fetch("SELECT id, state FROM jobs"))}
            assert rows == {
                job_id: self.ended.get(job_id, State.RUNNING if job_id in self.holders else State.QUEUED)
                for job_id in self.ids
            }


def test_a_job_is_ended_once_by_the_one_who_has_it(database_url: str) -> None:
    with asyncio.Runner() as runner:
        Queue.loop = runner.get_loop()
        Queue.connection = runner.run(asyncpg.connect(database_url))
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                Queue,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Queue.connection.close())


pytestmark = pytest.mark.timeout(300)
