import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.money import Micro
from hypereal.wire import CacheReport, cache_delta_at, report_in_answer, report_in_stream

REPORT = CacheReport(read_tokens=7, written_tokens=3, saved=Micro(1_250_000))
SAID = b'"hypereal":{"cache":{"read_tokens":7,"written_tokens":3,"saved_credits":1.25}}'
DELTA = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":1} }\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@pytest.mark.parametrize(
    ("body", "reported"),
    [
        (b'{"id":"m"}', b'{"id":"m",' + SAID + b"}"),
        (b'{"a":{"b":"}"} }\n', b'{"a":{"b":"}"} ,' + SAID + b"}\n"),
        (b"{ }", b"{ " + SAID + b"}"),
        (b'{"a":"{"}', b'{"a":"{",' + SAID + b"}"),
    ],
)
def test_a_report_is_the_last_member_of_an_answer(body: bytes, reported: bytes) -> None:
    assert report_in_answer(body, REPORT) == reported
    json.loads(reported)


def test_a_loss_is_a_number_below_zero() -> None:
    loss = CacheReport(read_tokens=0, written_tokens=9, saved=Micro(-500_000))
    assert json.loads(report_in_answer(b"{}", loss))["hypereal"]["cache"]["saved_credits"] == -0.5


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())), st.sampled_from([None, 1]))
def test_every_other_byte_of_an_answer_stays(answer: dict[str, object], indent: int | None) -> None:
    body = json.dumps(answer, indent=indent).encode()
    reported = report_in_answer(body, REPORT)
    assert json.loads(reported) == {**answer, **json.loads(b"{" + SAID + b"}")}
    assert reported.replace(b"," + SAID, b"").replace(SAID, b"") == body


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_has_it_in_its_last_message_delta(line_end: bytes) -> None:
    stream = (DELTA + DELTA + STOP).replace(b"\n", line_end)
    reported = DELTA + DELTA.replace(b" }\n", b" ," + SAID + b"}\n") + STOP
    if line_end == b"\r":  # all one event to our splitter: no vendor sends such lines
        assert report_in_stream(stream, REPORT) == stream
        return
    assert report_in_stream(stream, REPORT) == reported.replace(b"\n", line_end)


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"type":"message_delta","n":1}\nevent: message_delta\nid: }\n\n',
        b'data: {"type":\ndata: "message_delta"\ndata:\ndata: }\ndata: \nid: }\n\n',
        b'data:{"type":"message_delta"}\n\n',
        b'data:{"type":"message_delta"}',
    ],
)
def test_the_payload_is_found_in_any_event(event: bytes) -> None:
    reported = report_in_stream(event, REPORT)
    assert reported.replace(b"," + SAID, b"") == event
    lines = [line[5:] for line in reported.split(b"\n") if line.startswith(b"data:")]
    assert json.loads(b"\n".join(lines))["hypereal"]["cache"]["read_tokens"] == 7


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        STOP,
        b'data: {"type":"content_block_delta","delta":{"text":"\\"message_delta\\""}}\n\n',
        b'data: {"type":"x","of":"message_delta"}\n\n',
        b'data: "message_delta"\n\n',
        b': "message_delta"\n\n',
        b'data: {"type":"message_delta"\n\n',
    ],
)
def test_what_is_no_message_delta_stays(stream: bytes) -> None:
    assert report_in_stream(stream, REPORT) == stream


def test_a_delta_is_found_by_its_type() -> None:
    assert cache_delta_at(STOP) == -1
    assert cache_delta_at(DELTA + DELTA + STOP) > len(DELTA)
    assert cache_delta_at(b'data: {"text":"\\"message_delta\\""}\n\n') == -1
