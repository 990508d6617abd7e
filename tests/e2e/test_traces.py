"""Traces as an operator's receiver gets them: one span a call, one below it for each request to a target."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.background import Background
from tests.support.otlp import Receiver, attributes
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture(scope="module")
def traced(background: Background, scripted_upstream: Upstream, receiver: Receiver) -> Iterator[Server]:
    environ = servers.upstream_environ(scripted_upstream) | {"OTEL_SERVICE_NAME": "gateway-of-a-test"}
    settings = servers.config(scripted_upstream) + f'\n[traces]\nendpoint = "{receiver.url}"\n'
    running = Server(background, environ, settings, workers=2)
    yield running
    servers.assert_ended_well(running)


@pytest.fixture(scope="module")
def rich(traced: Server) -> Caller:
    return traced.caller()


def ask(server: Server, caller: Caller, model: str = "one-target", path: str = CHAT, **members: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": MARK}], "max_tokens": 300, **members}
    return server.call(path, body, caller.secret)


def trace_of(server: Server, receiver: Receiver, request_id: str) -> tuple[Span, list[Span]]:
    found: tuple[Span, list[Span]] = server.wait_for(lambda: receiver.trace_of(request_id), "its span is exported")
    return found


def test_a_call_is_a_span_with_the_names_of_the_conventions(
    traced: Server, rich: Caller, receiver: Receiver, upstream: Upstream
) -> None:
    answer = ask(traced, rich)
    span, (attempt,) = trace_of(traced, receiver, answer.request_id)
    row = traced.usage(answer.request_id)
    assert (span.name, span.kind) == ("chat one-target", Span.SPAN_KIND_SERVER)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "first",
        "gen_ai.request.model": "one-target",
        "gen_ai.response.model": vendors.chat_answer()["model"],
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.reasoning.output_tokens": 50,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "hypereal.request.id": answer.request_id,
        "hypereal.key.id": rich.key.id,
        "hypereal.owner.id": rich.owner_id,
        "hypereal.endpoint": "chat/completions",
        "hypereal.attempts": 1,
        "hypereal.cost.credits": row["charged"] / 1_000_000,
    }
    assert attributes(span) == expected
    assert (attempt.name, attempt.kind) == ("chat up-first", Span.SPAN_KIND_CLIENT)
    assert attributes(attempt) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "first",
        "gen_ai.request.model": "up-first",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
    }
    assert span.start_time_unix_nano <= attempt.start_time_unix_nano <= attempt.end_time_unix_nano
    assert attempt.end_time_unix_nano <= span.end_time_unix_nano + 2_000_000
    assert abs(span.start_time_unix_nano / 1e9 - row["started_at"].timestamp()) < 0.01
    assert receiver.resource["service.name"] == "gateway-of-a-test"


def test_the_callers_trace_is_continued_and_stays_here(
    traced: Server, rich: Caller, receiver: Receiver, upstream: Upstream
) -> None:
    body = {"model": "one-target", "messages": [], "stream": True}
    answer = traced.call(CHAT, body, rich.secret, traceparent=f"00-{TRACE}-{PARENT}-01")
    span, (attempt,) = trace_of(traced, receiver, answer.request_id)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attempt.trace_id == span.trace_id
    assert attributes(span)["gen_ai.request.stream"] is True
    assert attributes(span)["gen_ai.response.model"] == vendors.chat_answer()["model"]
    assert 0 < attributes(span)["gen_ai.response.time_to_first_chunk"] < 30
    assert upstream.request(0).get("traceparent") is None


@pytest.mark.parametrize("sent", ["", "garbage", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"])
def test_what_is_no_trace_begins_one(sent: str, traced: Server, rich: Caller, receiver: Receiver) -> None:
    fields = {"traceparent": sent} if sent else {}
    answer = traced.call(CHAT, {"model": "one-target", "messages": []}, rich.secret, **fields)
    span, _ = trace_of(traced, receiver, answer.request_id)
    assert span.parent_span_id == b""
    assert span.trace_id.hex() != TRACE


def test_a_caller_who_does_not_sample_is_not_traced(traced: Server, rich: Caller, receiver: Receiver) -> None:
    body = {"model": "one-target", "messages": []}
    unsampled = traced.call(CHAT, body, rich.secret, traceparent=f"00-{TRACE}-{PARENT}-00")
    for _ in range(64):  # they fill a datagram of either process, so the one before them is through
        last = traced.call(CHAT, body, rich.secret)
    trace_of(traced, receiver, last.request_id)
    assert receiver.trace_of(unsampled.request_id) is None


def test_every_target_that_was_asked_has_a_span(
    traced: Server, rich: Caller, receiver: Receiver, upstream: Upstream
) -> None:
    upstream.answer("up-first", *[scripts.plain({"error": {"message": "no"}}, 401)] * 2)
    answer = ask(traced, rich, "two-targets")
    assert answer.status == 200
    span, below = trace_of(traced, receiver, answer.request_id)
    told = [attributes(one) for one in below]
    assert [one["gen_ai.request.model"] for one in told] == ["up-first", "up-second"]
    assert [one["http.response.status_code"] for one in told] == [401, 200]
    assert [one.get("error.type") for one in told] == ["401", None]
    assert {one["server.port"] for one in told} == {upstream.port}
    assert [one.status.code for one in below] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET]
    assert below[0].end_time_unix_nano <= below[1].start_time_unix_nano + 2_000_000
    assert attributes(span)["gen_ai.provider.name"] == "second"
    assert attributes(span)["hypereal.attempts"] == 2


@pytest.mark.parametrize(
    ("path", "model", "operation", "answered"),
    [
        ("/v1/messages", "claude-sonnet-4-6", "chat", vendors.messages_answer()["model"]),
        ("/v1/responses", "gpt-5.4-mini", "chat", vendors.responses_answer()["model"]),
        (
            "/v1beta/models/gemini-2.5-flash-official:generateContent",
            "gemini-2.5-flash-official",
            "generate_content",
            vendors.gemini_answer().get("modelVersion"),
        ),
    ],
    ids=["messages", "responses", "gemini"],
)
def test_every_format_is_traced(
    path: str, model: str, operation: str, answered: str | None, traced: Server, rich: Caller, receiver: Receiver
) -> None:
    text = [{"role": "user", "content": MARK}]
    if operation == "chat":
        body: dict[str, Any] = {"model": model, "messages": text, "input": text, "max_tokens": 100}
        del body["input" if "messages" in path else "messages"]
    else:
        body = {"contents": [{"parts": [{"text": MARK}]}]}
    answer = traced.call(path, body, rich.secret)
    assert answer.status == 200, answer.body
    told = attributes(trace_of(traced, receiver, answer.request_id)[0])
    assert (told["gen_ai.operation.name"], told["gen_ai.request.model"]) == (operation, model)
    assert told.get("gen_ai.response.model") == answered
    assert told["gen_ai.usage.input_tokens"] == 1000
    assert told["gen_ai.usage.output_tokens"] == 200


def test_refusals_are_traced_with_their_type(traced: Server, receiver: Receiver) -> None:
    poor = traced.caller(0)
    refused = ask(traced, poor)
    unknown = traced.call(CHAT, {}, "ck_" + "0" * 64)
    for answer, status, kind in (
        (refused, 402, "insufficient_credits"),
        (unknown, 401, "authentication_error"),
    ):
        span, below = trace_of(traced, receiver, answer.request_id)
        told = attributes(span)
        assert (told["http.response.status_code"], told["error.type"]) == (status, kind)
        assert below == []
        assert span.status.code == Status.STATUS_CODE_UNSET


def test_a_receiver_that_is_down_costs_nothing_but_its_spans(traced: Server, rich: Caller, receiver: Receiver) -> None:
    receiver.refuses = True
    lost = ask(traced, rich)
    assert lost.status == 200
    traced.wait_for(lambda: dropped(traced) >= 2, "lost spans are counted")
    assert "does not take them" in traced.log
    receiver.refuses = False
    again = ask(traced, rich)
    trace_of(traced, receiver, again.request_id)
    assert receiver.trace_of(lost.request_id) is None


def dropped(server: Server) -> float:
    metrics = server.call("/metrics", method="GET").body.decode()
    assert 'hypereal_traces_dropped_total{process="data-0"} 0.0' in metrics
    return float(re.findall(r"^hypereal_spans_dropped_total (\S+)", metrics, re.MULTILINE)[0])


def test_nothing_that_was_exported_tells_a_prompt_or_a_key(traced: Server, rich: Caller, receiver: Receiver) -> None:
    everything = b"".join(receiver.bodies)
    assert rich.key.id.encode() in everything
    for secret in (MARK, rich.secret, servers.UPSTREAM_KEY, "".join(vendors.TEXT), "ck_"):
        assert secret.encode() not in everything


def test_spans_of_the_last_calls_are_exported_at_the_end(
    background: Background, scripted_upstream: Upstream, receiver: Receiver
) -> None:
    environ = servers.upstream_environ(scripted_upstream) | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    running = Server(background, environ, servers.config(scripted_upstream))
    last = ask(running, running.caller())
    servers.assert_ended_well(running)
    assert receiver.trace_of(last.request_id) is not None
    assert receiver.resource["service.name"] == "hypereal"


def test_without_a_receiver_nobody_listens(server: Server) -> None:
    assert not (server.data_dir / "run" / "traces.sock").exists()
