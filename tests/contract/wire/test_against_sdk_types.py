"""What we make ourselves must be read by the vendors' own types."""

import json

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.contract.wire.test_dialects import ANSWERS, GOLDEN, WHOLE_STREAMS

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import Overloaded
from hypereal.wire import BRIDGES, DIALECTS, PROFILES, WireDialect

ANSWER_TYPES = {
    Dialect.OPENAI_CHAT: TypeAdapter(ChatCompletion),
    Dialect.OPENAI_RESPONSES: TypeAdapter(Response),
    Dialect.ANTHROPIC_MESSAGES: TypeAdapter(Message),
    Dialect.GEMINI: TypeAdapter(GenerateContentResponse),
}
EVENT_TYPES = {
    Dialect.OPENAI_CHAT: TypeAdapter(ChatCompletionChunk),
    Dialect.OPENAI_RESPONSES: TypeAdapter(ResponseStreamEvent),
    Dialect.ANTHROPIC_MESSAGES: TypeAdapter(RawMessageStreamEvent),
    Dialect.GEMINI: TypeAdapter(GenerateContentResponse),
}


def check_stream(dialect: WireDialect, stream: bytes) -> None:
    for line in stream.split(b"\n"):
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            EVENT_TYPES[dialect.name].validate_json(line[6:])


@pytest.mark.parametrize(
    ("dialect", "stream"), [case for case in WHOLE_STREAMS if b'"created' in case[1] or b"msg_" in case[1]]
)
def test_a_folded_stream_is_an_answer(dialect: WireDialect, stream: bytes) -> None:
    ANSWER_TYPES[dialect.name].validate_json(dialect.fold(stream))


@pytest.mark.parametrize(("dialect", "body"), ANSWERS)
def test_an_unfolded_answer_is_a_stream(dialect: WireDialect, body: bytes) -> None:
    if b'"usage' in body:
        check_stream(dialect, dialect.unfold(body))


def test_a_failed_response_is_whole() -> None:
    event = DIALECTS[Dialect.OPENAI_RESPONSES].error_event(Overloaded("full"), "req_1", model="m")
    check_stream(DIALECTS[Dialect.OPENAI_RESPONSES], event)


def test_a_bridged_stream_is_geminis() -> None:
    through = BRIDGES[Dialect.GEMINI, Dialect.OPENAI_CHAT].stream(PROFILES["local"])
    stream = through.feed((GOLDEN / "gemini" / "bridge_stream" / "upstream.sse").read_bytes()) + through.end()
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: ")]
    read = [GenerateContentResponse.model_validate(chunk) for chunk in chunks]
    assert "".join(chunk.text or "" for chunk in read).startswith("Hello there")
    assert read[-1].usage_metadata is not None
    assert read[-1].usage_metadata.total_token_count == 27
