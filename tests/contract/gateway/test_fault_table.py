"""Every fault of an upstream, in every dialect, plain and streamed, with and without a second target.

All calls of the table run at once, since many of them have to be waited for; each has a model of its own. The tests
look at what came of them: the answer, the row of the usage log, and the sums of the ledger.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
from tests.contract.gateway.conftest import Bench
from tests.contract.gateway.fault_table import CASES, FIRST, Case, Outcome
from tests.contract.gateway.test_bad_input import assert_refused
from tests.contract.gateway.test_streams import assert_failed_in_band
from tests.support import upstream as scripts
from tests.support.raw import Answer
from tests.support.server import UPSTREAM_KEY

CREDITS = 1_000_000
AT_ONCE = 48
SENDS_MAX = 5
"""Two tries, each sent once more where it went over a connection that had been idle and was cut without a byte."""
SECOND = b"from-second"
TYPES = {
    400: "invalid_request_error",
    413: "request_too_large",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class Results:
    """What came of the table."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.payer = bench.server.caller(CREDITS)
        longest_first = sorted(CASES, key=lambda case: (case.fault.provider != "slow", -case.fault.waits_s))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self._calls = {case.name: pool.submit(self._call, case) for case in longest_first}
        self.all_rows = bench.server.rows_of(self.payer, len(CASES))
        self.rows = {row["request_id"]: row for row in self.all_rows}

    def answer(self, case: Case) -> Answer:
        """What the caller got."""
        return self._calls[case.name].result()

    def _call(self, case: Case) -> Answer:
        upstream = self.bench.upstream
        upstream.answer(f"{case.model}-1", *[case.fault.script(case.format, case.is_stream)] * SENDS_MAX)
        upstream.answer(f"{case.model}-2", _good(case))
        path, body = case.format.call(case.model, is_stream=case.is_stream)
        return self.bench.server.call(path, body, self.payer.secret)


def _good(case: Case) -> scripts.Script:
    if case.is_stream:
        return scripts.stream(case.format.stream(SECOND))
    return scripts.plain(case.format.answer(SECOND))


@pytest.fixture(scope="module")
def results(bench: Bench) -> Iterator[Results]:
    return Results(bench)


def marked(case: Case) -> object:
    """The case, as one that must fail where its row says why."""
    marks = [pytest.mark.xfail(strict=True, reason=case.fault.xfail)] if case.fault.xfail else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_what_comes_of_a_fault(case: Case, results: Results):
    answer = results.answer(case)
    row = results.rows[answer.request_id]
    assert row["model"] == case.model
    assert UPSTREAM_KEY not in str(answer)
    match case.fault.outcome:
        case Outcome.PASSED_OVER if case.has_second:
            assert_second_answered(case, answer, row)
        case Outcome.PASSED_OVER:
            assert_none_answered(case, answer, row)
        case Outcome.ANSWERED | Outcome.ESTIMATED:
            assert_first_answered(case, answer, row)
        case Outcome.BROKEN | Outcome.FAILED:
            assert_broken(case, answer, row)
        case Outcome.BLAMED:
            assert_refused(answer, path_of(case), case.fault.status, TYPES[case.fault.status])
            assert (row["attempts"], row["charged"], row["tried"]) == (1, 0, None)


def path_of(case: Case) -> str:
    return case.format.call(case.model, is_stream=False)[0]


def tried(row: asyncpg.Record) -> list[tuple[str, int]]:
    return [(attempt["target"], attempt["status"]) for attempt in json.loads(row["tried"] or "[]")]


def assert_second_answered(case: Case, answer: Answer, row: asyncpg.Record) -> None:
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "second")
    good = b"".join(case.format.stream(SECOND)) if case.is_stream else case.format.answer(SECOND)
    assert case.format.said(answer.body) == case.format.said(good)
    assert FIRST not in answer.body  # not a byte of the first target, and no ids mixed
    assert tried(row) == [(case.targets[0], status) for status in case.fault.tried]
    assert row["attempts"] == len(case.fault.tried) + 1
    assert (row["status"], row["provider"], row["target"]) == (200, "second", f"{case.model}-2")
    assert (row["charged"], row["is_estimated"]) == (case.format.cost, False)


def assert_none_answered(case: Case, answer: Answer, row: asyncpg.Record) -> None:
    fault = case.fault
    assert_refused(answer, path_of(case), fault.status, TYPES[fault.status])
    assert (answer.get("retry-after") is not None) == (fault.status == 503)
    assert 1 <= int(answer.get("retry-after") or 1) <= 30
    statuses = fault.tried if fault.tried_alone is None else fault.tried_alone
    assert tried(row) == [(case.targets[0], status) for status in statuses]
    assert row["attempts"] == len(statuses)
    assert (row["status"], row["error_type"]) == (fault.status, TYPES[fault.status])
    assert (row["charged"], row["is_estimated"]) == (0, False)
    assert row["duration_ms"] >= fault.waits_s * 1000


def assert_first_answered(case: Case, answer: Answer, row: asyncpg.Record) -> None:
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, case.fault.provider)
    assert FIRST in answer.body
    if case.is_stream:
        assert answer.get("content-type").startswith("text/event-stream")
        assert all("error" not in event or event["error"] is None for event in answer.events)
    else:
        assert answer.get("content-type") == "application/json"
        assert answer.json
    assert (row["status"], row["attempts"], row["tried"]) == (200, 1, None)
    if case.fault.outcome is Outcome.ANSWERED:
        assert (row["charged"], row["is_estimated"]) == (case.format.cost, False)
    else:
        assert row["is_estimated"]
        assert 0 < row["charged"] < case.format.cost
        assert row["input_tokens"] and row["output_tokens"]


def assert_broken(case: Case, answer: Answer, row: asyncpg.Record) -> None:
    kind = TYPES[case.fault.status]
    assert answer.get("x-hypereal-provider") == case.fault.provider
    assert sum(is_failure(event) for event in answer.events) == 1
    if case.fault.outcome is Outcome.FAILED:
        assert answer.body.endswith(case.format.error)
    else:
        assert_failed_in_band(answer, path_of(case), kind)
    assert FIRST in answer.body
    assert SECOND not in answer.body
    assert (row["status"], row["error_type"]) == (case.fault.status, kind)
    assert (row["attempts"], row["tried"], row["provider"]) == (1, None, case.fault.provider)
    assert row["charged"] > 0
    assert row["is_estimated"] == case.fault.is_estimated


def is_failure(event: Any) -> bool:
    return bool(event.get("error")) or event.get("type") == "response.failed"


# -- all of it together ------------------------------------------------------------------------------------------------


def test_each_call_has_one_row_and_the_wallet_paid_their_sum(results: Results):
    server, payer = results.bench.server, results.payer
    assert len(results.all_rows) == len(results.rows) == len(CASES)
    assert server.is_idle(payer)
    charged = sum(row["charged"] for row in results.all_rows)
    assert server.balance(payer).ledger == CREDITS * 1_000_000 - charged
    assert not any(row["written_off"] for row in results.all_rows)


def test_no_call_asks_a_target_more_than_twice(results: Results):
    for row in results.all_rows:
        targets = [target for target, _ in tried(row)]
        assert all(targets.count(target) <= 2 for target in targets)


def test_the_servers_own_audit_is_empty(results: Results):
    assert results.bench.server.audit() == []


def test_not_a_byte_of_the_upstreams_key_was_logged(results: Results):
    assert UPSTREAM_KEY not in results.bench.server.log
