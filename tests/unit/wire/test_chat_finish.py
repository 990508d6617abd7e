import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire import FinishMerger, finish_at

CASES = sorted((Path(__file__).parents[2] / "golden" / "openai_chat").glob("stream*/upstream.sse"))


def chunk(**members: object) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def finish(reason: str | None = "stop", **more: object) -> bytes:
    return chunk(choices=[{"index": 0, "delta": {}, "finish_reason": reason}], **more)


USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
DONE = b"data: [DONE]\n\n"


def merge(*events: bytes) -> bytes:
    merger = FinishMerger()
    return b"".join(map(merger.feed, events)) + merger.end()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_output_does_not_depend_on_how_events_are_grouped(path: Path, data: st.DataObject) -> None:
    stream = path.read_bytes().replace(b"\r\n", b"\n")
    events = [event + b"\n\n" for event in stream.split(b"\n\n") if event]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(events)), max_size=4)) | {0, len(events)})
    groups = [b"".join(events[start:end]) for start, end in itertools.pairwise(cuts)]
    assert merge(*groups) == merge(b"".join(events))


def test_nothing_is_lost_when_the_stream_ends_without_usage() -> None:
    stream = [finish(), DONE]
    assert json.loads(merge(*stream).split(b"\n\n")[0][6:]) == json.loads(stream[0][6:])
    assert merge(finish()).startswith(b'data: {"choices":')


def test_a_finish_chunk_that_has_its_usage_goes_at_once_and_untouched() -> None:
    assert FinishMerger().feed(finish(usage=USAGE)) == finish(usage=USAGE)


def test_usage_that_came_before_the_finish_chunk_goes_into_it() -> None:
    merged = merge(chunk(choices=[], usage=USAGE), finish(), DONE)
    assert merged.count(b"usage") == 1
    assert json.loads(merged.split(b"\n\n")[0][6:])["usage"] == USAGE


def test_a_null_usage_is_replaced_in_its_place() -> None:
    merged = merge(finish(usage=None, x=1.0), chunk(choices=[], usage=USAGE), DONE)
    assert list(json.loads(merged.split(b"\n\n")[0][6:])) == ["choices", "usage", "x"]
    assert b'"x":1.0' in merged


def test_comments_and_heartbeats_do_not_wait() -> None:
    merger = FinishMerger()
    merger.feed(finish())
    assert merger.feed(b": keep-alive\n\n") == b": keep-alive\n\n"


def test_no_chunk_without_choices_is_ever_sent_for_usage() -> None:
    assert b'"choices": []' not in merge(finish(), chunk(choices=[], usage=USAGE), DONE)
    assert merge(chunk(choices=[], usage=USAGE), DONE) == DONE


def test_what_is_no_chunk_passes_in_its_place() -> None:
    error = b'data: {"error":{"message":"m"}}\n\n'
    broken = b"data: {broken\n\n"
    no_text = finish().replace(b"stop", b"\xff")
    assert merge(error, broken, no_text, DONE) == error + broken + no_text + DONE


def test_finish_at_sees_a_reason_and_not_a_null() -> None:
    assert finish_at(finish(None) + finish()) > len(finish(None))
    assert finish_at(finish().replace(b": ", b":")) > 0
    assert finish_at(finish(None) * 50) == -1
