"""One call as spans: one for the call, and one below it for each request to a target.

Names are those of OpenTelemetry's semantic conventions for generative AI, written down here, since they are not stable
enough yet to be imported; what the conventions have no name for is `hypereal.*`. No prompt, no answer and no key.
"""

from collections.abc import Mapping

from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from hypereal.gateway import TracedAttempt, TracedCall
from hypereal.kit.dialects import Dialect
from hypereal.kit.money import MICRO_PER_CREDIT

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
STATUS_CODE = "http.response.status_code"
USER_AGENT = "user_agent.original"

PROVIDERS = {
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "xai": "x_ai",
    "mistral": "mistral_ai",
}
"""Of our names, those that the conventions spell otherwise."""

Value = str | int | float | bool


def record(tracer: Tracer, call: TracedCall) -> None:
    """Make the spans of CALL, which are then the span processor's."""
    context = None if not call.parent else set_span_in_context(NonRecordingSpan(_context_of(call.parent)))
    began_ns = int(call.began_unix_s * 1e9)
    operation = _operation(call)
    name = f"{operation} {call.model}" if operation and call.model else call.endpoint or "call"
    span = tracer.start_span(name, context, SpanKind.SERVER, _present(_of_call(call, operation)), start_time=began_ns)
    within = set_span_in_context(span)
    for attempt in call.tried:
        child = tracer.start_span(
            f"{operation or call.endpoint} {attempt.model}",
            within,
            SpanKind.CLIENT,
            _present(_of_attempt(attempt, operation)),
            start_time=began_ns + attempt.after_ms * 1_000_000,
        )
        if attempt.status != 200:
            child.set_status(Status(StatusCode.ERROR))
        child.end(began_ns + (attempt.after_ms + attempt.ms) * 1_000_000)
    if call.status >= 500:
        span.set_status(Status(StatusCode.ERROR))
    span.end(began_ns + int(call.duration_s * 1e9))


def _of_call(call: TracedCall, operation: str) -> dict[str, Value | None]:
    answered = call.tried[-1] if call.tried else None
    usage, settlement = call.usage, call.settlement
    facts: dict[str, Value | None] = {
        OPERATION_NAME: operation,
        REQUEST_MODEL: call.model,
        REQUEST_STREAM: call.is_stream or None,
        RESPONSE_MODEL: call.response_model,
        TIME_TO_FIRST_CHUNK: call.first_byte_s if call.is_stream else None,
        ERROR_TYPE: call.error_type,
        STATUS_CODE: call.status,
        USER_AGENT: call.client,
        "hypereal.request.id": call.request_id,
        "hypereal.key.id": call.key_id,
        "hypereal.owner.id": call.owner_id,
        "hypereal.endpoint": call.endpoint,
        "hypereal.attempts": call.attempts,
    }
    if answered is not None:
        facts |= {PROVIDER_NAME: _provider(answered)} | _address(answered)
    if usage is not None and settlement is not None:
        cached = usage.cache_read_tokens
        written = usage.cache_write_tokens + usage.cache_write_1h_tokens
        facts |= {
            INPUT_TOKENS: usage.input_tokens + cached + written,
            CACHE_READ_TOKENS: cached or None,
            CACHE_WRITE_TOKENS: written or None,
            OUTPUT_TOKENS: usage.output_tokens,
            REASONING_TOKENS: usage.reasoning_tokens or None,
            "hypereal.usage.is_estimated": usage.is_estimated or None,
            "hypereal.cost.credits": settlement.charged / MICRO_PER_CREDIT,
            "hypereal.cost.written_off_credits": settlement.written_off / MICRO_PER_CREDIT or None,
        }
    return facts


def _of_attempt(attempt: TracedAttempt, operation: str) -> dict[str, Value | None]:
    return {
        OPERATION_NAME: operation,
        PROVIDER_NAME: _provider(attempt),
        REQUEST_MODEL: attempt.model,
        STATUS_CODE: attempt.status or None,
        ERROR_TYPE: None if attempt.status == 200 else str(attempt.status or "no_answer"),
        **_address(attempt),
    }


def _present(facts: Mapping[str, Value | None]) -> dict[str, Value]:
    """Those of FACTS that say something."""
    return {name: value for name, value in facts.items() if value is not None and value != ""}


def _operation(call: TracedCall) -> str:
    if not call.generates:
        return ""
    return "generate_content" if call.dialect == Dialect.GEMINI else "chat"


def _provider(attempt: TracedAttempt) -> str:
    return PROVIDERS.get(attempt.provider, attempt.provider)


def _address(attempt: TracedAttempt) -> dict[str, Value | None]:
    return {SERVER_ADDRESS: attempt.address, SERVER_PORT: attempt.port or None}


def _context_of(traceparent: str) -> SpanContext:
    """W3C Trace Context: version, trace id, parent id, flags. Whoever read it knows that it has this form."""
    _, trace_id, parent_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(parent_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
