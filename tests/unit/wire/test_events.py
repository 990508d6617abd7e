from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire import events

STREAM = b': note\n\nevent: a\ndata: {"x":1}\n\ndata:{"y":\ndata: 2}\n\nretry: 5\n\ndata: [DONE]\n\n'


def test_payloads_leave_comments_names_and_empty_events_out() -> None:
    assert list(events.payloads(STREAM)) == [b'{"x":1}', b'{"y":\n 2}', b"[DONE]"]


def test_line_ends_do_not_matter() -> None:
    for end in (b"\r\n", b"\r"):
        assert list(events.payloads(STREAM.replace(b"\n", end))) == list(events.payloads(STREAM))


def test_an_event_without_its_blank_line_still_counts() -> None:
    assert list(events.payloads(b'data: {"x":1}')) == [b'{"x":1}']


def test_payloads_with_gives_the_last_first_and_each_once() -> None:
    stream = b'data: {"u":1,"u":1}\n\ndata: {"v":2}\n\ndata: {"u":3}\n\n'
    assert list(events.payloads_with(b'"u"', stream)) == [b'{"u":3}', b'{"u":1,"u":1}']


def test_payloads_with_never_gives_a_comment() -> None:
    assert list(events.payloads_with(b'"u"', b': "u"\n\n')) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"data: 1", b": c", b"event: x\ndata: 2", b""]), max_size=8), st.booleans())
def test_split_loses_and_adds_nothing(blocks: list[bytes], is_crlf: bool) -> None:
    stream = b"".join(block + b"\n\n" for block in blocks)
    if is_crlf:
        stream = stream.replace(b"\n", b"\r\n")
    assert b"".join(events.split(stream)) == stream


def test_split_gives_each_event_its_blank_line() -> None:
    assert list(events.split(b"data: 1\n\ndata: 2\r\n\r\nrest")) == [b"data: 1\n\n", b"data: 2\r\n\r\n", b"rest"]
