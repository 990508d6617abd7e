"""`/api/api-usage` and its export over the whole server: pages, filters, sums, CSV, and nobody else's calls."""

import csv
import io
import itertools
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.background import Background
from tests.support.ledger import Caller as Payer
from tests.support.ledger import usage_row
from tests.support.request_log import Logged, write
from tests.support.server import Caller, Server

from hypereal.kit.clock import utc_now
from hypereal.kit.ids import KeyId
from hypereal.kit.usage import Usage
from hypereal.ledger.request_log import reading

BOTH = frozenset({"inference", "account"})
CALLS = 25


def log(server: Server, background: Background, caller: Caller, *changes: dict[str, Any]) -> list[str]:
    """Calls of CALLER that cost 1, 2, 3 ... micro-credits, a minute apart, the newest last; their ids."""
    payer = Payer(owner_id=caller.owner_id, key_id=caller.key.id)
    newest = utc_now()
    logged = [
        Logged(
            row=usage_row(payer, started_at=newest - timedelta(minutes=len(changes) - number), **change),
            usage=Usage(input_tokens=10, output_tokens=number),
            cost=number + 1,
            charged=number + 1,
        )
        for number, change in enumerate(changes)
    ]

    async def written() -> None:
        async with server.database.connection() as connection:
            await write(connection, logged)
            await connection.execute("UPDATE pools SET used = used + $2 WHERE id = $1", caller.owner_id, total)
            await connection.execute(
                "INSERT INTO entries (debit_pool, credit_pool, amount, kind, source, source_id)"
                " VALUES ($1, 'house/revenue', $2, 'charge', 'test', $3)",
                caller.owner_id,
                total,
                logged[0].row.details.request_id,
            )

    total = sum(one.charged for one in logged)
    background.run(written())
    return [one.row.details.request_id for one in logged]


def ask(server: Server, caller: Caller, **query: object) -> dict[str, Any]:
    answer = server.call(f"/api/api-usage?{urlencode(query)}", b"", caller.secret, method="GET")
    assert answer.status == 200, answer.body
    return answer.json


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["logs"]]


@pytest.fixture
def owner(server: Server) -> Caller:
    return server.caller(scopes=BOTH)


def test_pages_follow_each_other_without_gap_or_double(server, background, owner):
    made = log(server, background, owner, *[{}] * CALLS)
    seen, after = [], ""
    for _ in range(10):
        page = ask(server, owner, limit=7, after=after)
        seen += ids(page)
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        after = page["next"]
    assert seen == made[::-1]


def test_calls_of_one_moment_have_an_order_too(server, background, owner):
    moment = utc_now()
    payer = Payer(owner_id=owner.owner_id)

    async def written() -> None:
        async with server.database.connection() as connection:
            await write(connection, [Logged(row=usage_row(payer, started_at=moment)) for _ in range(9)])

    background.run(written())
    first = ask(server, owner, limit=4)
    second = ask(server, owner, limit=4, after=first["next"])
    third = ask(server, owner, limit=4, after=second["next"])
    assert len({*ids(first), *ids(second), *ids(third)}) == 9


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"model": "m1"}, "ab"),
        ({"status": "error"}, "bd"),
        ({"status": "4xx"}, "b"),
        ({"status": "502"}, "d"),
        ({"status": "ok", "model": "m1"}, "a"),
        ({"endpoint": "/v1/messages"}, "c"),
        ({"provider": "openai"}, "a"),
        ({"app": "cli"}, "a"),
        ({"user": "ada"}, "bc"),
        ({"tag": "team:blue"}, "c"),
        ({"q": "RATE_LIMIT"}, "b"),
        ({"q": "blue"}, "c"),
        ({"q": "100%"}, ""),
        ({"key": "key_none"}, ""),
    ],
)
def test_the_log_is_narrowed(server, background, owner, query, found):
    made = log(
        server, background, owner,
        {"model": "m1", "app": "cli", "provider": "openai", "endpoint": "chat/completions"},
        {"model": "m1", "status": 429, "error_type": "rate_limit_error", "end_user": "ada"},
        {"model": "m2", "endpoint": "messages", "end_user": "ada", "metadata": {"team": "blue"}},
        {"model": "m2", "status": 502, "app": "100 percent"},
    )  # fmt: skip
    names = dict(zip(made, "abcd", strict=True))
    assert sorted(names[one] for one in ids(ask(server, owner, **query))) == list(found)
    assert ids(ask(server, owner, q=made[2])) == [made[2]]


def test_sums_tell_what_was_spent_on_what(server, background, owner):
    log(server, background, owner, *({"model": f"m{n % 2}", "app": "cli" if n else None} for n in range(4)))
    told = ask(server, owner, days=2, by="app")
    assert [(row["model"], row["calls"], row["creditsUsed"]) for row in told["costByModel"]] == [
        ("m1", 2, 0.000006), ("m0", 2, 0.000004),
    ]  # fmt: skip
    assert [(row["keyId"], row["calls"]) for row in told["costByKey"]] == [(owner.key.id, 4)]
    assert [(row["app"], row["calls"]) for row in told["costByApp"]] == [("cli", 3)]
    assert sum(row["calls"] for row in told["dailyTrend"]) == told["totals"]["calls"] == 4
    assert len(told["dailyTrend"]) == 2
    assert told["totals"]["creditsUsed"] == 0.00001
    assert [row["creditsUsed"] for row in told["topExpensiveRequests"]] == [0.000004, 0.000003, 0.000002, 0.000001]
    assert [(row["value"], row["calls"]) for row in told["costBy"]] == [("cli", 3), (None, 1)]
    narrowed = ask(server, owner, model="m1")
    assert [row["model"] for row in narrowed["costByModel"]] == ["m1"]
    assert {row["model"] for row in narrowed["topExpensiveRequests"]} == {"m1"}


def test_somebody_without_calls_is_told_nothing_of_others(server, background, owner):
    log(server, background, owner, {"end_user": "zed"})
    other = server.caller(scopes=BOTH)
    told = ask(server, other, key=owner.key.id, q="zed")
    assert told["logs"] == told["costByModel"] == told["topExpensiveRequests"] == told["costByKey"] == []
    assert told["totals"]["calls"] == 0
    exported = server.call(f"/api/api-usage/export?key={owner.key.id}", b"", other.secret, method="GET")
    assert exported.body.count(b"\r\n") == 1
    page = ask(server, owner, limit=1)
    assert ids(ask(server, other, after=f"9{page['logs'][0]['id']}".replace("9req", "9999999999999999.req"))) == []


def test_what_the_vendor_takes_is_not_told(server, background, owner):
    log(server, background, owner, {"upstream_cost": 123456789})
    assert "123456789" not in str(ask(server, owner))


@pytest.mark.parametrize("query", ["days=0", "days=401", "limit=101", "status=x", "after=x", "by=x", "tag=x"])
def test_a_bad_query_names_its_field(server, owner, query):
    answer = server.call(f"/api/api-usage?{query}", b"", owner.secret, method="GET")
    assert (answer.status, answer.error["param"]) == (400, query.partition("=")[0])


def test_the_export_is_every_call_once_the_oldest_first(server, background, owner):
    made = log(server, background, owner, *({"client": "=cmd()", "end_user": 'say "hi", ada'} for _ in range(CALLS)))
    answer = server.call("/api/api-usage/export?days=3", b"", owner.secret, method="GET")
    assert answer.status == 200
    assert answer.get("content-type").startswith("text/csv")
    assert answer.get("content-disposition") == f'attachment; filename="hypereal-usage-{utc_now():%Y-%m-%d}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert [row["request_id"] for row in rows] == made
    assert {row["client"] for row in rows} == {"'=cmd()"}
    assert {row["user"] for row in rows} == {'say "hi", ada'}


async def test_a_stream_reads_a_page_at_a_time(database, monkeypatch):
    monkeypatch.setattr(reading, "STREAM_ROWS", 4)
    payer = Payer(owner_id="acc_a", key_id=KeyId("key_1"))
    moment = utc_now() - timedelta(hours=1)
    logged = [Logged(row=usage_row(payer, started_at=moment + timedelta(seconds=n // 3))) for n in range(11)]
    async with database.connection() as connection:
        await write(connection, logged)
    match = reading.Match(since=moment, until=utc_now())
    pages = [page async for page in reading.stream(database, "acc_a", match)]
    assert [len(page) for page in pages] == [4, 4, 3]
    assert {row["request_id"] for row in itertools.chain(*pages)} == {one.row.details.request_id for one in logged}
