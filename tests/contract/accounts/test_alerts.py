"""What a reached budget does: a mail to the owner, and a key that is off where its owner wants that."""

from typing import Any

import msgspec
import pytest
from tests.support.jobs import until, working
from tests.support.mailbox import Mailbox

from hypereal.accounts import KeyChange, KeyTerms, NewKey, change_key, create_key, create_user, find_key, revoke_key
from hypereal.accounts import worker as worker_module
from hypereal.jobs import NewJob, State, announce, enqueue, list_jobs
from hypereal.kit.budgets import BUDGET_REACHED, BudgetReached
from hypereal.kit.db import Database
from hypereal.kit.events import EMIT
from hypereal.kit.ids import JobId
from hypereal.kit.mail import Mail
from hypereal.kit.money import MICRO_PER_CREDIT, Micro
from hypereal.kit.settings import MailSection, Settings

LIMIT = Micro(200 * MICRO_PER_CREDIT)


async def key_of(database: Database, **terms: Any) -> NewKey:
    user = await create_user(database, "ada@example.com")
    return await create_key(database, user.account_id, KeyTerms(**{"name": "agent", "spending_limit": LIMIT, **terms}))


async def reach(database: Database, made: NewKey, percent: int, limit: Micro = LIMIT) -> JobId:
    reached = BudgetReached(
        key_id=made.key.id, month="2026-11", percent=percent, used=Micro(limit * percent // 100), limit=limit
    )
    async with database.transaction() as connection:
        [job_id] = await enqueue(connection, NewJob(kind=BUDGET_REACHED, owner_id=made.key.owner_id, payload=reached))
    await announce(database)
    return job_id


def with_mail(mailbox: Mailbox) -> Settings:
    return Settings(mail=MailSection.model_validate({"smtp_url": mailbox.url, "from": "ops@example.com"}))


async def test_the_owner_is_told_in_figures(database: Database, mailbox: Mailbox):
    made = await key_of(database)
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await reach(database, made, 80)
        [message] = await mailbox.wait(1)
    assert mailbox.recipients == ["ada@example.com"]
    assert message["Subject"] == "Your key 'agent' has used 80 % of its limit"
    text = message.get_content()
    assert "160 of the 200 credits" in text
    assert "2026-12-01 00:00 UTC" in text
    assert made.secret not in text
    assert (await find_key(database, made.key.owner_id, made.key.id)).state == "active"


@pytest.mark.parametrize(("auto_disable", "state"), [(True, "stopped"), (False, "active")])
async def test_a_key_is_stopped_where_its_owner_wants_that(auto_disable, state, database: Database, mailbox: Mailbox):
    made = await key_of(database, auto_disable=auto_disable)
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await reach(database, made, 100)
        [message] = await mailbox.wait(1)
    assert (await find_key(database, made.key.owner_id, made.key.id)).state == state
    assert ("switched off" in message["Subject"]) == auto_disable


async def test_a_person_turns_it_on_again(database: Database, mailbox: Mailbox):
    made = await key_of(database, auto_disable=True)
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await until(database, await reach(database, made, 100), State.DONE)
    key = await change_key(database, made.key.owner_id, made.key.id, KeyChange(is_active=True))
    assert (key.state, key.stopped_at) == ("active", None)


async def test_a_limit_that_was_raised_meanwhile_stops_nothing(database: Database, mailbox: Mailbox):
    made = await key_of(database, auto_disable=True)
    job_id = await reach(database, made, 100)
    await change_key(database, made.key.owner_id, made.key.id, KeyChange(spending_limit=Micro(LIMIT * 2)))
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await until(database, job_id, State.DONE)
    assert (await find_key(database, made.key.owner_id, made.key.id)).state == "active"


async def test_a_mail_server_that_is_away_is_tried_again_and_the_key_is_stopped_at_once(
    database: Database, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hypereal.jobs.engine.RETRY_S_MAX", 0.05)
    mailbox.answers = ["451 later", "451 later", "451 later"]
    made = await key_of(database, auto_disable=True)
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await until(database, await reach(database, made, 100), State.DONE)
        assert (await find_key(database, made.key.owner_id, made.key.id)).state == "stopped"
        await mailbox.wait(1)
    assert mailbox.answers == []


def payload_of(to: str) -> Mail:
    return Mail(to=to, subject="A webhook endpoint was turned off", text="x")


@pytest.mark.parametrize(
    ("answers", "state", "error"),
    [
        (["451 later"], State.DONE, "127.0.0.1 refuses the message: 451 later"),
        (["554 never"], State.FAILED, "127.0.0.1 refuses the message: 554 never"),
    ],
)
async def test_a_mail_of_anybody_is_tried_again_or_a_dead_letter_and_nobody_reads_a_traceback(
    answers: list[str], state: State, error: str, database: Database, mailbox: Mailbox, capsys, monkeypatch
):
    monkeypatch.setattr("hypereal.jobs.engine.RETRY_S_MAX", 0.05)
    mailbox.answers = answers
    owner_id = (await create_user(database, "ada@example.com")).account_id
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        async with database.transaction() as connection:
            new = NewJob(kind=worker_module.SEND_MAIL, owner_id=owner_id, payload=payload_of("ada@example.com"))
            [job_id] = await enqueue(connection, new)
        await announce(database)
        row = await until(database, job_id, state)
    assert (row.last_error or "") == error
    assert len(mailbox.messages) == (state is State.DONE)
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    assert "a job failed" in told.out + told.err


async def test_a_mailbox_that_is_none_is_a_dead_letter(database: Database, mailbox: Mailbox):
    user = await create_user(database, "nobody@example.com")
    made = await create_key(database, user.account_id, KeyTerms(spending_limit=LIMIT))
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await until(database, await reach(database, made, 80), State.DONE)
        [letter] = [row for row in await list_jobs(database) if row.kind == worker_module.SEND_MAIL]
        row = await until(database, letter.id, State.FAILED)
    assert "no such mailbox" in (row.last_error or "")


async def test_of_a_key_that_was_revoked_nobody_is_told(database: Database, mailbox: Mailbox):
    made = await key_of(database)
    await revoke_key(database, made.key.owner_id, made.key.id)
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await until(database, await reach(database, made, 80), State.DONE)
    assert [row.kind for row in await list_jobs(database)] == [BUDGET_REACHED]


@pytest.mark.parametrize(("percent", "stops"), [(80, False), (100, True)])
async def test_an_event_tells_of_the_budget_too(percent: int, stops: bool, database: Database, mailbox: Mailbox):
    made = await key_of(database, auto_disable=True)
    async with working(database, *worker_module.HANDLERS, settings=with_mail(mailbox)):
        await reach(database, made, percent)
        await mailbox.wait(1)
    [event] = [job for job in await list_jobs(database) if job.kind == EMIT]
    told = msgspec.json.decode(bytes(event.payload))
    assert event.owner_id == made.key.owner_id
    assert told["type"] == f"key.budget_{percent}"
    assert told["data"] == {
        "keyId": made.key.id,
        "name": "agent",
        "month": "2026-11",
        "usedCredits": 2 * percent,
        "limitCredits": 200,
        "isStopped": stops,
        "resetsAt": "2026-12-01T00:00:00Z",
    }
