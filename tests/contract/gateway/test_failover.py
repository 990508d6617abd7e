"""How targets and keys take turns while they fail, and what an operator sees of it.

All scenarios begin at once, since most of them have to be waited for; each has models of its own.
"""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from tests.contract.gateway.conftest import KEYS, Bench
from tests.contract.gateway.formats import CHAT, FORMATS, Format
from tests.contract.gateway.test_streams import HEARTBEATS, assert_failed_in_band
from tests.support import upstream as scripts
from tests.support.raw import Answer, Raw
from tests.support.server import MARK, Caller
from tests.support.upstream import Do, Recorded

Scenario = Callable[[Bench], None]
COMMAND_S_MAX = 60
GOOD = scripts.plain(CHAT.answer(b"good"))
NUMBERS = itertools.count()
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    """One that the fixture below starts; its assertions are the test's."""
    SCENARIOS.append(function)
    return function


@pytest.fixture(scope="module")
def started(bench: Bench) -> Iterator[dict[Scenario, Future[None]]]:
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {one: pool.submit(one, bench) for one in SCENARIOS}


def chat_of(model: str) -> tuple[str, dict]:
    """A call that begins a conversation: a later call of the same one would stay where the first was answered."""
    path, body = CHAT.call(model, is_stream=False)
    return path, {**body, "messages": [{"role": "user", "content": f"{MARK} {next(NUMBERS)}"}]}


def ask(bench: Bench, model: str, payer: Caller) -> Answer:
    path, body = chat_of(model)
    return bench.server.call(path, body, payer.secret)


def requests_of(bench: Bench, target: str) -> list[Recorded]:
    return [one for one in bench.upstream.requests if one.model == target]


def keys_used(bench: Bench, target: str) -> list[str]:
    return [(one.get("authorization") or "").removeprefix("Bearer ") for one in requests_of(bench, target)]


def tried(bench: Bench, answer: Answer) -> list[tuple[str, int]]:
    row = bench.server.usage(answer.request_id)
    return [(one["target"], one["status"]) for one in json.loads(row["tried"] or "[]")]


def metric(bench: Bench, name: str, **labels: str) -> float | None:
    """A value of /metrics; None where there is none yet."""
    metrics = bench.server.call("/metrics", method="GET").body.decode()
    for line in metrics.splitlines():
        found = re.fullmatch(rf"{name}{{(.*)}} (\S+)", line)
        if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
            return float(found[2])
    return None


# -- keys --------------------------------------------------------------------------------------------------------------


@scenario
def a_refused_key_rests_and_the_next_one_answers_at_once(bench: Bench) -> None:
    payer = bench.server.caller(1000)
    bench.upstream.answer("up-keyed", scripts.plain({"error": {"message": "revoked"}}, 401), GOOD, GOOD, GOOD)
    answer = ask(bench, "keyed", payer)
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "keyed")
    refused, other = keys_used(bench, "up-keyed")
    assert refused != other
    assert {refused, other} < set(KEYS)
    assert tried(bench, answer) == [("keyed:up-keyed", 401)]
    row = bench.server.usage(answer.request_id)
    assert (row["attempts"], row["charged"]) == (2, CHAT.cost)
    assert row["duration_ms"] < 1000
    for _ in range(2):
        assert tried(bench, ask(bench, "keyed", payer)) == []
    assert refused not in keys_used(bench, "up-keyed")[1:]
    bench.server.wait_for(
        lambda: metric(bench, "hypereal_target_faults_total", target="keyed:up-keyed", fault="key") == 1, "the fault"
    )


@scenario
def a_key_over_its_limit_rests_for_as_long_as_the_vendor_says(bench: Bench) -> None:
    payer = bench.server.caller(1000)
    bench.upstream.answer("up-limited", scripts.plain({"error": {"message": "x"}}, 429, "retry-after: 3"), *[GOOD] * 20)
    answer = ask(bench, "limited", payer)
    assert answer.get("x-hypereal-provider") == "limited"
    assert bench.server.usage(answer.request_id)["duration_ms"] < 1000
    limited, other = keys_used(bench, "up-limited")
    assert limited != other
    ask(bench, "limited", payer)
    assert keys_used(bench, "up-limited")[2] != limited


@scenario
def where_every_key_is_refused_the_next_target_answers(bench: Bench) -> None:
    payer = bench.server.caller(1000)
    bench.upstream.answer("up-refused", *[scripts.plain({"error": {"message": "unpaid"}}, 402)] * 4)
    answer = ask(bench, "refused", payer)
    assert answer.get("x-hypereal-provider") == "second"
    assert sorted(keys_used(bench, "up-refused")) == sorted(KEYS)
    assert tried(bench, answer) == [("refused:up-refused", 402)] * 3
    assert bench.server.usage(answer.request_id)["attempts"] == 4
    assert tried(bench, ask(bench, "refused", payer)) == [("refused:up-refused", 402)]  # no key is ready: one is asked


# -- breakers ----------------------------------------------------------------------------------------------------------


def is_available(bench: Bench) -> float | None:
    return metric(bench, "hypereal_target_available", target="first:up-breaking")


@scenario
def a_target_that_keeps_failing_is_left_alone_then_probed_by_one_call(bench: Bench) -> None:
    payer = bench.server.caller(1000)
    bench.upstream.answer("up-breaking", *[scripts.plain({"error": {"message": "gone"}}, 404)] * 5)
    for number in range(5):
        answer = ask(bench, "breaking", payer)
        assert answer.get("x-hypereal-provider") == "second"
        assert len(requests_of(bench, "up-breaking")) == number + 1
    left_alone = ask(bench, "breaking", payer)
    assert bench.server.usage(left_alone.request_id)["attempts"] == 1
    assert len(requests_of(bench, "up-breaking")) == 5
    bench.server.wait_for(lambda: is_available(bench) == 0, "the open breaker in the metrics")
    health = status(bench)["targets"]["first:up-breaking"]
    assert health.pop("state") in ("open", "half_open")  # the command takes its time
    assert health == {"faults": {"absent": 5}, "last_fault": "absent"}
    bench.server.wait_for(lambda: is_available(bench) == 1, "the time of the probe")
    probe_may_end = bench.upstream.gate()
    bench.upstream.answer("up-breaking", [probe_may_end, *GOOD], GOOD)
    with Raw(bench.server.url) as probe:
        path, body = chat_of("breaking")
        probe.post(path, body, payer.secret)
        bench.server.wait_for(lambda: len(requests_of(bench, "up-breaking")) == 6, "the probe")
        assert ask(bench, "breaking", payer).get("x-hypereal-provider") == "second"  # others keep away
        probe_may_end.open()
        assert probe.answer().get("x-hypereal-provider") == "first"
    assert ask(bench, "breaking", payer).get("x-hypereal-provider") == "first"
    bench.server.wait_for(
        lambda: status(bench)["targets"]["first:up-breaking"]["state"] == "closed", "the closed breaker"
    )


def status(bench: Bench) -> dict:
    """What `hypereal status --json` prints."""
    command = [sys.executable, "-m", "hypereal", "status", "--json", "--data-dir", str(bench.server.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S_MAX)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@scenario
def a_vendor_that_cannot_count_tokens_goes_on_answering(bench: Bench) -> None:
    """Claude Code counts 34 times in a row; a relay without that route must not lose its calls by it."""
    payer = bench.server.caller(1000)
    bench.upstream.answer("up-countless", *[scripts.plain({"error": {"message": "no route"}}, 404)] * 10)
    bench.upstream.answer("up-countless-2", *[scripts.plain(b"<html>", 405, content_type="text/html")] * 10)
    for _ in range(10):
        counted = bench.server.call("/v1/messages/count_tokens", {"model": "countless", "messages": []}, payer.secret)
        assert counted.status == 200
        assert counted.json.keys() == {"input_tokens"}
    assert bench.server.balance(payer).ledger == 1000_000_000
    bench.upstream.answer("up-countless", GOOD)
    assert ask(bench, "countless", payer).get("x-hypereal-provider") == "first"


# -- deadlines ---------------------------------------------------------------------------------------------------------


@scenario
def a_chain_of_silent_targets_ends_with_the_deadline(bench: Bench) -> None:
    payer = bench.server.caller(1000)
    for number in range(6):
        bench.upstream.answer(f"up-endless-{number}", *[[bench.upstream.gate()] for _ in range(3)])
    answer = ask(bench, "endless", payer)
    assert (answer.status, answer.error["type"]) == (504, "timeout_error")
    row = bench.server.usage(answer.request_id)
    assert 8_000 < row["duration_ms"] < 13_000
    assert row["attempts"] == len(tried(bench, answer)) <= 8
    assert row["charged"] == 0
    assert bench.server.is_idle(payer)


@scenario
def a_handshake_that_never_ends_is_given_up(bench: Bench) -> None:
    answer = ask(bench, "deaf", bench.server.caller(1000))
    assert answer.status == 502
    row = bench.server.usage(answer.request_id)
    assert row["duration_ms"] < 13_000
    assert (row["attempts"], tried(bench, answer)) == (1, [("deaf:up-deaf", 0)])


# -- callers who wait --------------------------------------------------------------------------------------------------


@scenario
def who_leaves_while_the_gateway_waits_is_not_sent_for_again(bench: Bench) -> None:
    payer = bench.server.caller(1000)
    bench.upstream.answer("up-leaving", scripts.plain({"error": {"message": "x"}}, 429, "retry-after: 2"), GOOD)
    with Raw(bench.server.url) as caller:
        path, body = CHAT.call("leaving", is_stream=False)
        caller.post(path, body, payer.secret)
        bench.server.wait_for(lambda: requests_of(bench, "up-leaving"), "the first request")
        bench.server.wait_for(lambda: "first:up-leaving" in bench.server.log, "the refusal")
    row = bench.server.rows_of(payer, 1)[0]
    assert (row["status"], row["error_type"], row["charged"]) == (499, "client_gone", 0)
    assert bench.server.is_idle(payer)
    assert len(requests_of(bench, "up-leaving")) == 1
    assert requests_of(bench, "up-leaving-2") == []


def heartbeat_of(bench: Bench, format: Format, model: str, payer: Caller, then: scripts.Script) -> Answer:
    """A stream whose first target is silent until the caller got a sign of life; then THEN, at each retry too."""
    gate = bench.upstream.gate()
    bench.upstream.answer(f"up-{model}", [gate, *then], *[then] * 3)
    path, body = format.call(model, is_stream=True)
    with Raw(bench.server.url) as connection:
        connection.post(path, body, payer.secret)
        head = connection.head()
        assert head.status == 200
        chunks = connection.chunks()
        first = next(chunks)
        key = path if format.name != "gemini" else "/v1beta/models/one-target:generateContent"
        assert first.startswith(HEARTBEATS[key])
        gate.open()
        return Answer(head.status, head.fields, first + b"".join(chunks))


def after_the_head(format: Format) -> Scenario:
    """After 15 s of silence the head is out; targets still take turns, and the last failure is told in-band."""

    def run(bench: Bench) -> None:
        payer = bench.server.caller(1000)
        with ThreadPoolExecutor(3) as pool:
            late = pool.submit(heartbeat_of, bench, format, f"late-{format.name}", payer, [Do.CUT])
            refusal = scripts.plain({"error": {"message": "bad 'x'"}}, 400)
            refused = pool.submit(heartbeat_of, bench, format, f"blamed-{format.name}", payer, refusal)
            lost = heartbeat_of(bench, format, f"lost-{format.name}", payer, [Do.CUT])
        answer = late.result()
        good, got = format.said(b"".join(format.events())), format.said(answer.body)
        assert got[-len(good) :] == good
        assert not any(event.get("error") for event in answer.events)
        row = bench.server.usage(answer.request_id)
        assert (row["status"], row["provider"], row["attempts"], row["charged"]) == (200, "second", 3, format.cost)
        assert_failed_in_band(lost, format.call("x", is_stream=False)[0])
        row = bench.server.usage(lost.request_id)
        assert (row["status"], row["attempts"], row["charged"]) == (502, 2, 0)
        blamed = refused.result()
        assert "bad 'x'" in blamed.body.decode()
        row = bench.server.usage(blamed.request_id)
        assert (row["status"], row["attempts"], row["charged"]) == (400, 1, 0)
        assert bench.server.is_idle(payer)

    run.__name__ = f"after_a_heartbeat_targets_take_turns_and_the_last_failure_is_told_in_band_{format.name}"
    return run


SCENARIOS.extend(after_the_head(format) for format in FORMATS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_failover(scenario: Scenario, started: dict[Scenario, Future[None]]):
    started[scenario].result()


def test_the_servers_own_audit_is_empty(bench: Bench):
    assert bench.server.audit() == []
