"""What we make ourselves must be read by the vendors' own types."""

from pathlib import Path

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.contract.wire.test_dialects import ANSWERS, GOLDEN, WHOLE_STREAMS

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import Overloaded
from hypereal.wire import DIALECTS, WireDialect

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


def bridged(name: str) -> list[object]:
    """The files NAME of the golden cases with a bridge, with their dialects."""
    paths = sorted(GOLDEN.glob(f"*/bridge_*/{name}"))
    return [pytest.param(DIALECTS[Dialect(path.parts[-3])], path, id="-".join(path.parts[-3:-1])) for path in paths]


@pytest.mark.parametrize(("dialect", "path"), bridged("reply.sse"))
def test_a_bridged_stream_is_of_the_callers_dialect(dialect: WireDialect, path: Path) -> None:
    stream = path.read_bytes()
    check_stream(dialect, stream)
    if dialect.is_complete(stream):
        ANSWER_TYPES[dialect.name].validate_json(dialect.fold(stream))


@pytest.mark.parametrize(("dialect", "path"), bridged("reply.json"))
def test_a_bridged_answer_is_of_the_callers_dialect(dialect: WireDialect, path: Path) -> None:
    ANSWER_TYPES[dialect.name].validate_json(path.read_bytes())
