import json

import pytest

from hypereal.kit.errors import HyperealError, InsufficientCredits, InternalError, InvalidRequest, RateLimited
from hypereal.wire.openai_responses import OpenAIResponses
from hypereal.wire.profiles import PROFILES

RESPONSES = OpenAIResponses()
PLAIN = PROFILES["openai"]


@pytest.mark.parametrize("value", [b"1", b"{}", b"true"])
def test_input_must_be_text_or_a_list(value: bytes) -> None:
    with pytest.raises(InvalidRequest):
        RESPONSES.read(b'{"model":"m","input":' + value + b"}")


def test_input_may_be_missing_beside_a_stored_prompt() -> None:
    assert RESPONSES.read(b'{"model":"m","prompt":{"id":"p"}}').model == "m"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RateLimited("Slow down.", 7), "rate_limit_exceeded", "Slow down. Please try again in 7s."),
        (InsufficientCredits("Poor."), "insufficient_quota", "Poor."),
        (InternalError("Oops."), "server_error", "Oops."),
        (InvalidRequest("Long.", code="context_length_exceeded"), "context_length_exceeded", "Long."),
        (InvalidRequest("Bad."), "invalid_prompt", "Bad."),
    ],
)
def test_a_failure_in_a_stream_has_the_code_that_codex_knows(error: HyperealError, code: str, message: str) -> None:
    tail = b'event: x\ndata: {"type":"response.created","sequence_number":4,"response":{}}\n\n'
    event = RESPONSES.error_event(error, "req_abc", model="gpt-5.5", tail=tail)
    name, data = event.removesuffix(b"\n\n").split(b"\n")
    shown = json.loads(data.removeprefix(b"data: "))
    assert name == b"event: response.failed"
    assert (shown["sequence_number"], shown["response"]["status"], shown["response"]["id"]) == (5, "failed", "resp_abc")
    assert shown["response"]["error"] == {"code": code, "message": message}


def test_a_heartbeat_repeats_the_last_number() -> None:
    tail = b'data: {"sequence_number":41,"type":"x"}\n\ndata: {"sequence_number":42,"type":"x"}\n\n: c\n\n'
    assert RESPONSES.heartbeat(tail) == b'event: keepalive\ndata: {"type":"keepalive","sequence_number":42}\n\n'
    assert b'"sequence_number":0' in RESPONSES.heartbeat()


def test_web_searches_are_counted_even_where_the_last_event_has_no_output() -> None:
    item = b'data: {"type":"response.output_item.done","output_index":%d,"item":{"type":"web_search_call"}}\n\n'
    end = (
        b'data: {"type":"response.completed","response":{"output":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    )
    stream = item % 0 + item % 1 + end
    usage = RESPONSES.usage_of_stream(stream, stream, PLAIN)
    assert usage is not None
    assert usage.web_searches == 2
