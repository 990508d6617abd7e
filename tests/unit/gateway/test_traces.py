"""Facts of calls on their way to the control process: never waited for, bounded, counted where they are lost."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import vendors
from tests.support.processes import short_folder

from hypereal.gateway import traces as module
from hypereal.gateway.traces import Traces, read_datagram


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "traces.sock"


def call(**members: Any) -> Any:
    head = SimpleNamespace(get=lambda name: members.get("traceparent", b""))
    facts = SimpleNamespace(endpoint="chat/completions", generates=True, client="")
    known = {"request_id": "req_1", "began_s": 1.0, "asked_s": 1.0, "first_byte_s": 0.0, "upstream": None}
    return SimpleNamespace(**known, head=head, facts=facts)


def bill(model: str = "m") -> Any:
    empty = ("model", "way", "principal", "tried", "usage", "settlement", "error_type")
    request = SimpleNamespace(dialect="openai_chat", model=model, stream=False)
    return SimpleNamespace(**dict.fromkeys(empty), request=request, answer=b"", status=402, attempts=0)


PLANE: Any = SimpleNamespace(unix_minus_monotonic_s=100.0)


def test_facts_arrive_in_order_and_in_batches(path: Path) -> None:
    traces = Traces(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        other.setblocking(False)
        for number in range(module.BATCH_MAX + 1):
            traces.tell(call(), bill(str(number)), PLANE)
        first = read_datagram(other.recv(1_000_000))
        assert [one.model for one in first] == [str(number) for number in range(module.BATCH_MAX)]
        assert first[0].began_unix_s == 101.0
        with pytest.raises(BlockingIOError):
            other.recv(1)
        traces.close()
        assert [one.model for one in read_datagram(other.recv(1_000_000))] == [str(module.BATCH_MAX)]
    assert traces.dropped == 0


def test_nobody_who_listens_costs_facts_beyond_a_bound_and_no_error(path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 40)
    traces = Traces(str(path))
    for _ in range(50):
        traces.tell(call(), bill(), PLANE)
    assert traces.dropped == 10
    traces.close()
    assert traces.dropped == 50


def test_what_cannot_be_written_is_counted_and_harms_no_call(path: Path) -> None:
    traces = Traces(str(path))
    traces.tell(call(), bill("\ud800"), PLANE)
    assert traces.dropped == 1
    traces.close()


@pytest.mark.parametrize(
    ("said", "model"),
    [
        (vendors.encode(vendors.chat_answer()), vendors.chat_answer()["model"]),
        (vendors.encode(vendors.messages_answer()), vendors.messages_answer()["model"]),
        (vendors.encode(vendors.responses_answer()), vendors.responses_answer()["model"]),
        (vendors.encode(vendors.gemini_answer()), vendors.gemini_answer()["modelVersion"]),
        (b'{"model": 5}', None),
        (b'{"model": "m"', None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"text": "\\"model\\": \\"m\\""}', None),
    ],
)
def test_the_model_that_answered_is_read_off_a_plain_answer(said: bytes, model: str | None) -> None:
    assert module._response_model(call(), said) == model


@pytest.mark.parametrize(
    ("events", "model"),
    [
        (vendors.chat_events(), vendors.chat_answer()["model"]),
        (vendors.messages_events(), vendors.messages_answer()["model"]),
        (vendors.responses_events(), vendors.responses_answer()["model"]),
        ([b": comment\n\n"], None),
        ([b"data: [DONE]\n\n"], None),
        ([], None),
    ],
)
def test_and_off_the_first_event_of_a_stream(events: list[bytes], model: str | None) -> None:
    streaming = call()
    streaming.upstream = SimpleNamespace(is_stream=True, first=b"".join(events[:1]))
    assert module._response_model(streaming, b"") == model
