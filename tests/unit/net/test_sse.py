import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.net.sse import EVENT_BYTES_MAX, EventAssembler, EventTooLong, last_boundary

LINES = st.sampled_from([b"\n", b"\r\n", b"\r", b"data: x", b"\n\n", b"\r\n\r\n", b": c"])


@given(st.lists(LINES), st.lists(st.integers(0, 60)))
def test_events_are_the_same_however_the_stream_is_split(lines, cuts):
    stream = b"".join(lines)
    assembler, out = EventAssembler(), b""
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in pairwise(edges):
        events = assembler.feed(stream[start:end])
        assert events == b"" or events.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        out += events
        assert last_boundary(stream[: len(out)]) == len(out)
    assert out + assembler.flush() == stream
    assert assembler.is_empty


@given(st.lists(LINES))
def test_event_that_ends_lets_everything_before_it_go(lines):
    stream = b"".join(lines) + b"data: x\n\n"
    assembler = EventAssembler()
    assert b"".join(assembler.feed(stream[i : i + 1]) for i in range(len(stream))) == stream


@pytest.mark.parametrize(
    ("data", "end"),
    [(b"", 0), (b"a\n", 0), (b"a\n\nb", 3), (b"a\r\n\r\n", 5), (b"a\r\rb\n\n", 6), (b"a\n\n\r\n\r\nx", 7)],
)
def test_last_boundary(data, end):
    assert last_boundary(data) == end


def test_event_that_is_too_long_is_refused():
    assembler = EventAssembler()
    assembler.feed(b"x" * EVENT_BYTES_MAX)
    with pytest.raises(EventTooLong):
        assembler.feed(b"x")


def test_long_event_in_small_reads_costs_in_proportion_to_its_length():
    def cost_s(reads: int) -> float:
        assembler = EventAssembler()
        began = time.process_time()
        for _ in range(reads):
            assembler.feed(b"x" * 1000)
        assert len(assembler.feed(b"\n\n")) == reads * 1000 + 2
        return time.process_time() - began

    cost_s(100)
    assert min(cost_s(16_000) for _ in range(3)) < 100 * max(min(cost_s(1_000) for _ in range(3)), 1e-4)
