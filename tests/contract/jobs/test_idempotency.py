"""A request that names a key is done once, however often and however closely together it is sent."""

import asyncio

import pytest
from tests.support.jobs import Note

from hypereal.jobs import Answer, Asked, NewJob, enqueue, list_jobs, once
from hypereal.kit.db import Connection, Database
from hypereal.kit.errors import Conflict, InvalidRequest
from hypereal.kit.ids import AccountId


def asked(key: str = "k", body: bytes = b"{}", route: str = "POST /v1/videos/generate", owner: str = "acc_a") -> Asked:
    return Asked(owner_id=AccountId(owner), key=key, route=route, body=body)


async def make_job(connection: Connection) -> Answer:
    [job_id] = await enqueue(connection, NewJob(kind="test.note", payload=Note()))
    return Answer(status=202, body=job_id.encode())


async def test_the_first_answer_is_given_again(database: Database):
    first = await once(database, asked(), make_job)
    assert await once(database, asked(), make_job) == first
    assert len(await list_jobs(database)) == 1


async def test_of_many_at_once_one_works_and_all_are_told_the_same(database: Database):
    answers = await asyncio.gather(*(once(database, asked(), make_job) for _ in range(40)))
    assert len({answer.body for answer in answers}) == 1
    assert len(await list_jobs(database)) == 1


async def test_another_request_under_the_key_is_a_conflict(database: Database):
    await once(database, asked(), make_job)
    for other in (asked(body=b'{"n":2}'), asked(route="POST /v1/images/generate")):
        with pytest.raises(Conflict):
            await once(database, other, make_job)


async def test_another_owner_has_keys_of_its_own(database: Database):
    await once(database, asked(), make_job)
    await once(database, asked(owner="acc_b", body=b"other"), make_job)
    assert len(await list_jobs(database)) == 2


async def test_work_that_fails_leaves_the_key_free(database: Database):
    async def fail(_: Connection) -> Answer:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        await once(database, asked(), fail)
    assert (await once(database, asked(body=b"mended"), make_job)).status == 202


async def test_while_the_first_fails_the_next_does_the_work(database: Database):
    began = asyncio.Event()

    async def fail_late(_: Connection) -> Answer:
        began.set()
        await asyncio.sleep(0.2)
        raise InvalidRequest("no")

    failing = asyncio.create_task(once(database, asked(), fail_late))
    await began.wait()
    assert (await once(database, asked(), make_job)).status == 202
    with pytest.raises(InvalidRequest):
        await failing


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
async def test_keys_of_no_use_are_refused(key: str, database: Database):
    with pytest.raises(InvalidRequest):
        await once(database, asked(key=key), make_job)
