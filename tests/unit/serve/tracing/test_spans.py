"""Spans of a call: names that the conventions know, and nothing that says nothing."""

import msgspec
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    server_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import StatusCode

from hypereal.gateway import TracedAttempt, TracedCall
from hypereal.kit.money import Micro
from hypereal.kit.usage import Usage
from hypereal.ledger import Settlement
from hypereal.serve.tracing import spans

ATTEMPT = TracedAttempt(provider="google", model="up", address="api.example", port=443, status=200, after_ms=10, ms=200)
CALL = TracedCall(
    request_id="req_1",
    parent="",
    began_unix_s=1_800_000_000.0,
    duration_s=0.25,
    first_byte_s=0.1,
    endpoint="chat/completions",
    dialect="openai_chat",
    generates=True,
    model="m",
    response_model=None,
    status=200,
    error_type=None,
    is_stream=False,
    owner_id="acc_1",
    key_id="key_1",
    client="",
    attempts=1,
    tried=(ATTEMPT,),
    usage=Usage(input_tokens=10, cache_read_tokens=5, cache_write_tokens=2, cache_write_1h_tokens=1, output_tokens=7),
    settlement=Settlement(Micro(1_500_000), Micro(0)),
)


def spans_of(call: TracedCall) -> list[ReadableSpan]:
    """The call's own span first."""
    ended: list[ReadableSpan] = []

    class Kept(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Kept())
    spans.record(provider.get_tracer("test"), call)
    return ended[::-1]


def test_names_are_those_of_the_conventions() -> None:
    tables = [gen_ai_attributes, error_attributes, server_attributes, http_attributes, user_agent_attributes]
    known = {value for table in tables for value in vars(table).values() if isinstance(value, str)}
    ours = {value for name, value in vars(spans).items() if name.isupper() and isinstance(value, str)}
    assert ours <= known
    assert len(ours) == 16
    assert set(spans.PROVIDERS.values()) <= {one.value for one in gen_ai_attributes.GenAiProviderNameValues}


def test_times_are_the_calls_own() -> None:
    call, attempt = spans_of(CALL)
    assert (call.start_time, call.end_time) == (1_800_000_000_000_000_000, 1_800_000_000_250_000_000)
    assert (attempt.start_time, attempt.end_time) == (1_800_000_000_010_000_000, 1_800_000_000_210_000_000)
    assert attempt.parent is not None
    assert attempt.parent.span_id == call.context.span_id


def test_input_is_all_input() -> None:
    told = dict(spans_of(CALL)[0].attributes or {})
    assert told["gen_ai.usage.input_tokens"] == 18
    assert told["gen_ai.usage.cache_read.input_tokens"] == 5
    assert told["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert told["hypereal.cost.credits"] == 1.5
    assert told["gen_ai.provider.name"] == "gcp.gemini"
    assert "user_agent.original" not in told
    assert "error.type" not in told


def test_only_our_own_failures_are_errors_of_a_call() -> None:
    for status, code in ((499, StatusCode.UNSET), (402, StatusCode.UNSET), (502, StatusCode.ERROR)):
        call, _ = spans_of(msgspec.structs.replace(CALL, status=status, error_type="x"))
        assert call.status.status_code is code


def test_a_target_that_did_not_answer_says_so() -> None:
    silent = msgspec.structs.replace(ATTEMPT, status=0)
    _, attempt = spans_of(msgspec.structs.replace(CALL, tried=(silent,)))
    assert (attempt.attributes or {})["error.type"] == "no_answer"
    assert "http.response.status_code" not in (attempt.attributes or {})


def test_a_call_that_generates_nothing_is_named_by_its_route() -> None:
    call, *_ = spans_of(msgspec.structs.replace(CALL, generates=False, endpoint="models", model="", tried=()))
    assert call.name == "models"
    assert "gen_ai.operation.name" not in (call.attributes or {})
