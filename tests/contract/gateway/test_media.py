"""Media jobs over scripted vendors that fail: who is asked, what is waited for, and what is paid. The books agree."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from starlette.requests import Request
from tests.support.background import Background
from tests.support.ledger import micro
from tests.support.media import Studio, studio
from tests.support.media_vendors import PNG, MediaVendor
from tests.support.sites import site_at

from hypereal.catalog import Kind
from hypereal.gateway.media.callbacks import CallbackRoutes
from hypereal.gateway.media.job import MediaJob, State
from hypereal.gateway.media.worker import end_overdue
from hypereal.kit.db import Database
from hypereal.kit.errors import (
    Conflict,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    SpendingLimitReached,
)
from hypereal.kit.ids import AccountId
from hypereal.ledger import audit, balance
from hypereal.webhooks.endpoints import Change

Vendors = Callable[..., list[MediaVendor]]


@pytest.fixture
def vendors(background: Background, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """Starts vendors, whose addresses and keys are in the environment from then on."""
    started: list[MediaVendor] = []

    def start(*names: str) -> list[MediaVendor]:
        for name in names:
            vendor = MediaVendor(background, name)
            started.append(vendor)
            for variable, value in vendor.environ.items():
                monkeypatch.setenv(variable, value)
        return started[-len(names) :]

    yield start
    for vendor in started:
        vendor.close()


@pytest_asyncio.fixture
async def open_studio(database: Database, tmp_path: Path) -> AsyncIterator[Callable[[], object]]:
    """A studio of the vendors that were started; after the test all sums agree."""

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[Studio]:
        async with studio(database, tmp_path, **changes) as one:
            yield one
        assert await audit(database) == []

    yield opened


async def free_of(database: Database, owner_id: AccountId) -> int:
    return (await balance(database, owner_id)).free


async def rows_of(database: Database, job: MediaJob) -> list[dict[str, object]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM usage WHERE request_id = $1", job.request.request_id)
    return [dict(row) for row in rows]


VIDEO = {"model": "kling-v3", "duration": 5}
"""42 credits, at Kling's and then at ToAPIs."""


async def test_a_direct_vendor_is_asked_once_for_all_and_paid_for_what_it_gave(vendors, open_studio, database):
    [openai] = vendors("openai")
    async with open_studio() as here:
        caller = await here.caller(100)
        job = await here.ended(await here.begin(caller, model="gpt-image-2", n=3, size="1024x1536"))
        assert (job.state, job.cost, len(job.outputs)) == (State.COMPLETED, micro(9), 3)
        assert [request.json["n"] for request in openai.requests] == [3]
        assert openai.requests[0].json["size"] == "1024x1536"
        storage = here.parts.storage
        stored = await storage.find(caller.owner_id, job.outputs[0].object_id)
        assert b"".join([piece async for piece in storage.read(stored)]) == PNG
        assert stored.content_type == "image/png"
        assert await free_of(database, caller.owner_id) == micro(91)
        [row] = await rows_of(database, job)
        assert (row["provider"], row["target"], row["charged"]) == ("openai", "gpt-image-2", micro(9))
        assert row["price_version"] == job.price_version


async def test_a_vendor_that_makes_one_at_a_time_is_asked_for_each(vendors, open_studio, database):
    [bfl] = vendors("bfl")
    async with open_studio() as here:
        caller = await here.caller(100)
        bfl.plan(["failed"])
        job = await here.ended(await here.begin(caller, model="flux-2-pro", n=3))
        assert (job.state, len(job.outputs), len(bfl.tasks)) == (State.COMPLETED, 2, 3)
        assert job.cost == micro(9), "what was not returned is not paid"
        assert await free_of(database, caller.owner_id) == micro(91)


async def test_a_fault_of_the_vendors_goes_to_the_next_target(vendors, open_studio, database):
    openai, toapis = vendors("openai", "toapis")
    async with open_studio() as here:
        caller = await here.caller(100)
        openai.break_next("submit", "vendor", "vendor")
        job = await here.ended(await here.begin(caller, model="gpt-image-2"))
        assert (job.state, job.target_name) == (State.COMPLETED, "toapis:gpt-image-2")
        assert (len(openai.requests), len(toapis.tasks)) == (2, 1)
        [row] = await rows_of(database, job)
        assert (row["attempts"], row["provider"], row["charged"]) == (2, "toapis", micro(3))


@pytest.mark.parametrize("how", ["caller", "moderated"])
async def test_a_fault_of_the_callers_goes_nowhere_else(vendors, open_studio, database, how):
    openai, toapis = vendors("openai", "toapis")
    async with open_studio() as here:
        caller = await here.caller(100)
        openai.break_next("submit", how)
        job = await here.ended(await here.begin(caller, model="gpt-image-2"))
        assert job.error is not None
        assert (job.state, job.error.status, job.cost) == (State.FAILED, 400, 0)
        assert "words of the vendor" in job.error.message
        assert (len(openai.requests), len(toapis.requests)) == (1, 0)
        assert await free_of(database, caller.owner_id) == micro(100)


async def test_over_its_rate_a_vendor_is_waited_for_with_a_reason(vendors, open_studio):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        caller = await here.caller(100)
        toapis.break_next("submit", "rate", "rate")
        job = await here.begin(caller, model="gpt-4o-image")
        assert "rate limited until 20" in ((await here.until(job, "rate limited until")).waiting or "")
        job = await here.ended(job)
        assert (job.state, len(toapis.tasks), job.round) == (State.COMPLETED, 1, 2)


async def test_when_every_target_fails_one_clean_error_is_told(vendors, open_studio, database):
    openai, toapis = vendors("openai", "toapis")
    async with open_studio() as here:
        caller = await here.caller(100)
        openai.break_next("submit", "credential")
        toapis.break_next("submit", "balance")
        job = await here.ended(await here.begin(caller, model="gpt-image-2"))
        assert job.error is not None
        assert (job.error.status, job.error.type) == (502, "api_error")
        assert "Nothing was charged" in job.error.message
        assert "words of the vendor" not in job.error.message, "they may be about us"
        assert await free_of(database, caller.owner_id) == micro(100)


async def test_a_lost_answer_of_a_task_is_no_reason_to_ask_again(vendors, open_studio, database):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        caller = await here.caller(100)
        toapis.break_next("submit", "no_answer")
        job = await here.ended(await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash"))
        assert job.error is not None
        assert (job.state, len(toapis.tasks)) == (State.FAILED, 1)
        assert "nobody can tell" in job.error.message
        assert await free_of(database, caller.owner_id) == micro(100)


@pytest.mark.parametrize("how", ["html", "bare_502"])
async def test_a_broken_answer_of_a_task_goes_to_the_next_target_and_not_again_to_this_one(vendors, open_studio, how):
    ark, toapis = vendors("ark", "toapis")
    async with open_studio() as here:
        ark.break_next("submit", how)
        asked = {"model": "doubao-seedance-2-0-fast", "duration": 4}
        job = await here.ended(await here.begin(await here.caller(100), Kind.VIDEO, **asked))
        assert (job.state, len(ark.requests), len(toapis.tasks)) == (State.COMPLETED, 1, 1)


async def test_what_a_direct_vendor_did_not_answer_the_next_one_makes(vendors, open_studio):
    openai, toapis = vendors("openai", "toapis")
    async with open_studio() as here:
        openai.break_next("submit", "no_answer")
        job = await here.ended(await here.begin(await here.caller(100), model="gpt-image-2"))
        assert (job.state, len(openai.requests), len(toapis.tasks)) == (State.COMPLETED, 1, 1)


async def test_a_vendor_that_fails_after_all_is_followed_by_the_next(vendors, open_studio, database):
    kling, toapis = vendors("kling", "toapis")
    async with open_studio() as here:
        caller = await here.caller(100)
        kling.plan(["queued", "running", "failed"])
        toapis.plan(["queued", ("running", 0.4), "done"])
        job = await here.begin(caller, Kind.VIDEO, **VIDEO)
        assert await free_of(database, caller.owner_id) == micro(58), "held before anybody is asked"
        job = await here.ended(job)
        assert (job.state, job.cost, job.target_name) == (State.COMPLETED, micro(42), "toapis:kling-v3")
        assert (len(kling.tasks), len(toapis.tasks)) == (1, 1)


async def test_what_a_vendor_does_not_tell_is_no_end(vendors, open_studio):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        toapis.plan([("running", 0.1), "mute", "odd", ("running", 0.6), "done"])
        job = await here.begin(await here.caller(500), Kind.VIDEO, model="gemini_omni_flash")
        await here.until(job, "polling")
        toapis.break_next("poll", "html", "cut", "garbage", "bare_502", "vendor", "credential")
        job = await here.ended(job)
        assert (job.state, len(toapis.tasks)) == (State.COMPLETED, 1)


async def test_how_it_goes_is_told(vendors, open_studio):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        toapis.usual = ["queued"]
        job = await here.begin(await here.caller(500), Kind.VIDEO, model="gemini_omni_flash")
        await here.until(job, "queued upstream")
        toapis.tasks[0].states = [("running", 0.25)]
        found = await here.until(job, "polling")
        assert found.progress == 0.25
        assert found.begun_at is not None
        toapis.tasks[0].states = ["done"]
        assert (await here.ended(job)).progress == 1


async def test_an_output_that_does_not_come_at_once_is_asked_for_again(vendors, open_studio):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        toapis.break_next("file", "bare_502", "cut")
        job = await here.ended(await here.begin(await here.caller(500), Kind.VIDEO, model="gemini_omni_flash"))
        assert job.state is State.COMPLETED
        stored = await here.parts.storage.find(job.owner_id, job.outputs[0].object_id)
        assert stored.content_type == "video/mp4"


async def test_an_output_that_is_gone_is_not_paid(vendors, open_studio, database):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        caller = await here.caller(500)
        toapis.files["/files/task-1.mp4"] = ("text/html", b"<html>expired</html>")
        job = await here.ended(await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash"))
        assert (job.state, job.cost) == (State.FAILED, 0)
        assert await free_of(database, caller.owner_id) == micro(500)


# -- cancelling --------------------------------------------------------------------------------------------------------


async def test_what_no_vendor_has_is_cancelled_for_nothing(vendors, open_studio, database):
    [kling] = vendors("kling")
    async with open_studio(works=False) as here:
        caller = await here.caller(100)
        job = await here.begin(caller, Kind.VIDEO, **VIDEO)
        cancelled = await here.conductor.cancel(caller.owner_id, job.id)
        assert (cancelled.state, cancelled.cost) == (State.CANCELLED, 0)
        assert await free_of(database, caller.owner_id) == micro(100)
    async with open_studio() as here:
        assert (await here.ended(job)).state is State.CANCELLED
    assert not kling.requests


async def test_what_a_vendor_has_begun_pays_its_seconds(vendors, open_studio, database):
    [ark] = vendors("ark")
    async with open_studio() as here:
        caller = await here.caller(100)
        ark.usual = ["running"]
        job = await here.begin(caller, Kind.VIDEO, model="doubao-seedance-2-0-fast", duration=8)
        await here.until(job, "polling")
        cancelled = await here.conductor.cancel(caller.owner_id, job.id)
        assert cancelled.state is State.CANCELLED
        assert cancelled.cost is not None
        assert cancelled.cost % micro(10.5) == 0
        assert micro(10.5) <= cancelled.cost <= micro(84)
        assert await free_of(database, caller.owner_id) == micro(100) - cancelled.cost


async def test_what_waits_at_a_vendor_is_cancelled_there_for_nothing(vendors, open_studio, database):
    [ark] = vendors("ark")
    async with open_studio() as here:
        caller = await here.caller(100)
        ark.usual = ["queued"]
        job = await here.begin(caller, Kind.VIDEO, model="doubao-seedance-2-0-fast")
        await here.until(job, "queued upstream")
        cancelled = await here.conductor.cancel(caller.owner_id, job.id)
        assert (cancelled.state, cancelled.cost, ark.tasks[0].is_cancelled) == (State.CANCELLED, 0, True)
        assert (await here.conductor.cancel(caller.owner_id, job.id)).state is State.CANCELLED, "as often as one likes"


async def test_what_is_done_cannot_be_cancelled(vendors, open_studio):
    vendors("openai")
    async with open_studio() as here:
        job = await here.ended(await here.begin(await here.caller(100), model="gpt-image-2"))
        with pytest.raises(Conflict):
            await here.conductor.cancel(job.owner_id, job.id)
        stranger = await here.caller()
        for ask in (here.conductor.cancel, here.conductor.find):
            with pytest.raises(NotFound):
                await ask(stranger.owner_id, job.id)


# -- before anybody is asked -------------------------------------------------------------------------------------------


async def test_one_key_makes_one_job_however_often_it_is_sent(vendors, open_studio):
    [openai] = vendors("openai")
    async with open_studio() as here:
        caller = await here.caller(100)
        made = await asyncio.gather(*(here.begin(caller, model="gpt-image-2", key="k1") for _ in range(5)))
        assert len({job.id for job in made}) == 1
        assert (await here.ended(made[0])).cost == micro(3)
        assert len(openai.requests) == 1
        with pytest.raises(Conflict):
            await here.begin(caller, model="gpt-image-2", n=2, key="k1")


async def test_what_cannot_be_paid_is_not_begun(vendors, open_studio, database):
    [openai] = vendors("openai")
    async with open_studio() as here:
        with pytest.raises(InsufficientCredits):
            await here.begin(await here.caller(2.9), model="gpt-image-2")
        with pytest.raises(SpendingLimitReached):
            await here.begin(await here.caller(100, limit=micro(8)), model="gpt-image-2", n=3)
        assert not openai.requests
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM media_jobs") == 0


async def test_a_model_whose_vendors_cannot_do_it_says_so(vendors, open_studio):
    vendors("dashscope")
    async with open_studio() as here:
        caller = await here.caller(500)
        with pytest.raises(InvalidRequest, match="begin with"):
            await here.begin(caller, Kind.VIDEO, model="wan2.6-flash")


async def test_when_its_time_is_over_a_job_ends_and_costs_nothing(vendors, open_studio, database):
    [toapis] = vendors("toapis")
    async with open_studio() as here:
        caller = await here.caller(500)
        toapis.usual = ["running"]
        job = await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash")
        await here.until(job, "polling")
        async with database.connection() as connection:
            await connection.execute("UPDATE media_jobs SET deadline_at = now()")
        job = await here.ended(job)
        assert job.error is not None
        assert (job.error.status, job.error.type) == (504, "timeout_error")
        assert await free_of(database, caller.owner_id) == micro(500)


async def test_what_nobody_works_on_any_more_is_ended_by_the_sweep(vendors, open_studio, database):
    vendors("toapis")
    async with open_studio(works=False) as here:
        caller = await here.caller(500)
        job = await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash")
        assert await end_overdue(here.conductor.studio) == 0
        async with database.connection() as connection:
            await connection.execute("UPDATE media_jobs SET deadline_at = now() - interval '1 hour'")
        assert await end_overdue(here.conductor.studio) == 1
        assert (await here.conductor.find(job.owner_id, job.id)).state is State.FAILED
        assert await free_of(database, caller.owner_id) == micro(500)


# -- events ------------------------------------------------------------------------------------------------------------


async def test_how_a_job_ended_is_told_to_its_url_and_to_the_accounts_endpoints(vendors, open_studio):
    openai, toapis = vendors("openai", "toapis")
    async with open_studio() as here, site_at("127.0.0.3") as site:
        for path in ("/one", "/all"):
            site.says(path, b"ok", "text/plain")
        base = f"http://127.0.0.3:{site.port}"
        caller = await here.caller(500)
        await here.parts.webhooks.endpoints.create(caller.owner_id, Change(url=f"{base}/all", events=["job.*"]))
        made = await here.ended(await here.begin(caller, model="gpt-image-2", webhookUrl=f"{base}/one"))
        openai.break_next("submit", "moderated")
        failed = await here.ended(await here.begin(caller, model="gpt-image-2"))
        toapis.usual = ["queued"]
        job = await here.begin(caller, Kind.VIDEO, model="gemini_omni_flash")
        await here.until(job, "queued upstream")
        cancelled = await here.conductor.cancel(caller.owner_id, job.id)
        async with asyncio.timeout(20):
            while len(site.bodies) < 4:
                await asyncio.sleep(0.02)
        told = [(head.split(b" ")[1], json.loads(body)) for head, body in zip(site.heads, site.bodies, strict=True)]
        assert sorted((path, body["type"], body["data"]["jobId"]) for path, body in told) == sorted(
            [
                (b"/all", "job.completed", made.id),
                (b"/one", "job.completed", made.id),
                (b"/all", "job.failed", failed.id),
                (b"/all", "job.cancelled", cancelled.id),
            ]
        )
        data = next(body["data"] for _, body in told if body["data"]["jobId"] == made.id)
        assert (data["status"], data["creditsUsed"], data["outputs"]) == ("completed", 3, [data["outputUrl"]])


# -- callbacks ---------------------------------------------------------------------------------------------------------

PUBLIC_URL = "https://ai.example.com"


async def call_back(here: Studio, url: str, body: bytes, **headers: str) -> int:
    """The status of our answer to a vendor."""
    parts = urlsplit(url)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    name = parts.path.rpartition("/")[2]
    scope = {"type": "http", "method": "POST", "path": parts.path, "query_string": parts.query.encode()}
    fields = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    request = Request({**scope, "headers": fields, "path_params": {"id": name}}, receive)
    try:
        return (await CallbackRoutes(here.conductor.studio).receive(request)).status_code
    except PermissionDenied as refused:
        return refused.status


async def test_a_vendor_that_calls_has_its_task_asked_for_at_once(vendors, open_studio):
    [ark] = vendors("ark")
    async with open_studio(public_url=PUBLIC_URL) as here:
        ark.usual = ["running"]
        caller = await here.caller(500)
        job = await here.begin(caller, Kind.VIDEO, model="doubao-seedance-2-0-fast", duration=4)
        job = await here.until(job, "polling")
        url = ark.tasks[0].asked.json["callback_url"]
        ark.tasks[0].states = ["done"]
        lie = json.dumps({"id": ark.tasks[0].id, "status": "failed"}).encode()
        assert await call_back(here, url.replace("?s=", "?s=0"), lie) == 403
        assert await call_back(here, url, lie) == 200
        async with asyncio.timeout(20):
            while not (job := await here.conductor.find(caller.owner_id, job.id)).is_final:
                await asyncio.sleep(0.02)
        assert job.state is State.COMPLETED, "the vendor was asked: what is said in a callback is no truth"


async def test_a_vendor_that_signs_must_sign_well(vendors, open_studio):
    [bfl] = vendors("bfl")
    async with open_studio(public_url=PUBLIC_URL) as here:
        bfl.usual = ["running"]
        job = await here.until(await here.begin(await here.caller(500), model="flux-2-pro"), "polling")
        asked = bfl.tasks[0].asked.json
        body = json.dumps({"id": bfl.tasks[0].id, "status": "Ready"}).encode()
        mac = hmac.new(asked["webhook_secret"].encode(), body, "sha256").hexdigest()
        assert await call_back(here, asked["webhook_url"], body, x_bfl_signature="sha256=" + mac) == 200
        assert await call_back(here, asked["webhook_url"], body + b" ", x_bfl_signature="sha256=" + mac) == 403
        bfl.tasks[0].states = ["done"]
        assert (await here.ended(job)).state is State.COMPLETED
        assert await call_back(here, asked["webhook_url"], body) == 200, "too late to matter"


# -- here --------------------------------------------------------------------------------------------------------------


async def test_without_any_key_it_is_drawn_here(open_studio, monkeypatch):
    for name in ("OPENAI", "TOAPIS", "FAL"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
    async with open_studio() as here:
        caller = await here.caller(100)
        job = await here.ended(await here.begin(caller, model="gpt-image-2", n=2, seed=7))
        assert (job.state, job.target_name, job.cost) == (State.COMPLETED, "local:gpt-image-2", micro(6))
        storage = here.parts.storage
        stored = [await storage.find(caller.owner_id, one.object_id) for one in job.outputs]
        assert {one.content_type for one in stored} == {"image/png"}
        assert stored[0].sha256 != stored[1].sha256


async def test_what_is_sealed_goes_when_the_job_ends(vendors, open_studio, database):
    vendors("openai")
    async with open_studio() as here:
        job = await here.ended(await here.begin(await here.caller(100), model="gpt-image-2", prompt="a secret fox"))
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT sealed FROM media_jobs WHERE id = $1", job.id) is None
            dump = await connection.fetchval("SELECT string_agg(m::text, ' ') FROM media_jobs m")
            parts = await connection.fetchval("SELECT string_agg(p::text, ' ') FROM media_parts p")
        assert "secret fox" not in dump + parts
