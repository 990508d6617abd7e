import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clients import Client, post, post_chunked, read_then_answer
from tests.support.transports import RecordingTransport, Turns

from hypereal.net import outbox, server
from hypereal.net.outbox import AT_ONCE_BYTES, BOXES_MAX, WRITES_BUSY, Outbox, Turn

LONG = b"x" * AT_ONCE_BYTES


class Process:
    """Connections of one process, and its loop."""

    def __init__(self, connections: int) -> None:
        self.loop = Turns()
        self.noted: list[bytes] = []
        """What had been sent by all when something was to be written down."""
        self.turn = Turn()
        self.turn.join(self.loop, self.note)  # type: ignore[arg-type]
        self.transports = [RecordingTransport() for _ in range(connections)]
        self.boxes = [Outbox(transport) for transport in self.transports]

    def note(self) -> None:
        self.noted.append(b"".join(transport.written for transport in self.transports))

    def be_busy(self) -> None:
        """A turn of many writes is over."""
        for _ in range(WRITES_BUSY + 1):
            self.boxes[0].write(b"-")
        self.loop.run()
        for transport in self.transports:
            transport.written, transport.writes = b"", []
        self.noted.clear()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    made = Process(connections=BOXES_MAX + 2)
    monkeypatch.setattr(outbox, "turn", made.turn)
    return made


def test_where_little_goes_on_everything_is_sent_at_once(process: Process) -> None:
    process.boxes[0].write(b"a")
    process.boxes[1].write(b"b")
    assert [process.transports[at].written for at in (0, 1)] == [b"a", b"b"]
    process.loop.run()
    process.boxes[0].write(b"c")
    assert process.transports[0].written == b"ac"


def test_after_a_busy_turn_writes_wait_for_the_end_of_theirs_and_go_out_in_their_order(process: Process) -> None:
    process.be_busy()
    order: list[int] = []
    for at in (2, 0, 1):
        process.transports[at].on_write = lambda at=at: order.append(at)  # type: ignore[misc]
        process.boxes[at].write(b"a")
    process.boxes[2].write(b"b")
    assert order == []
    assert process.boxes[2].get_write_buffer_size() == 2
    process.loop.run()
    assert order == [2, 0, 1]
    assert process.transports[2].writes == [b"ab"]


def test_turn_goes_on_while_reads_go_on_to_cause_writes(process: Process) -> None:
    process.be_busy()
    for at in range(3):
        process.boxes[at].write(b"a")
        process.loop.run_once()
        assert process.transports[0].written == b""
    process.loop.run_once()  # nothing new has come
    assert [transport.written for transport in process.transports[:4]] == [b"a", b"a", b"a", b""]
    assert process.turn.is_busy


def test_a_process_that_is_busy_no_more_sends_at_once_again(process: Process) -> None:
    process.be_busy()
    process.boxes[0].write(b"a")
    process.loop.run()
    process.boxes[0].write(b"b")
    assert process.transports[0].written == b"ab"


def test_what_was_paid_for_is_written_down_before_a_byte_of_it_goes_out(process: Process) -> None:
    process.boxes[0].write(b"a")
    assert process.noted == [b""]
    process.be_busy()
    process.boxes[0].write(b"a")
    process.boxes[1].write(b"b")
    assert process.noted == []
    process.loop.run()
    assert process.noted == [b""]
    for send in (
        lambda box: box.write(LONG),
        lambda box: box.writelines((b"c", LONG)),
        lambda box: box.close(),
    ):
        process.be_busy()
        process.boxes[0].write(b"a")
        send(process.boxes[0])
        assert process.noted[0] == b""


def test_no_answer_waits_for_the_work_of_very_many(process: Process) -> None:
    process.be_busy()
    for box in process.boxes:
        box.write(b"a")
    sent = [transport.written for transport in process.transports]
    assert sent == [b"a"] * BOXES_MAX + [b"", b""]
    process.loop.run()
    assert all(transport.written == b"a" for transport in process.transports)


@pytest.mark.parametrize("end", ["close", "abort", "write_eof"])
def test_what_waits_is_sent_before_the_end(process: Process, end: str) -> None:
    process.be_busy()
    process.boxes[0].write(b"a")
    getattr(process.boxes[0], end)()
    assert process.transports[0].written == b"a"
    process.loop.run()
    assert process.transports[0].written == b"a"


def test_connection_that_was_lost_meanwhile_gets_nothing_and_no_other_hangs_for_it(process: Process) -> None:
    process.be_busy()
    for box in process.boxes[:3]:
        box.write(b"a")
    process.transports[0].ended, process.transports[0].is_lost = "close", True
    process.transports[1].has_written_eof = True  # so a write raises
    process.loop.run()
    assert [transport.written for transport in process.transports[:3]] == [b"", b"", b"a"]
    assert process.transports[1].ended == "abort"


def test_process_that_ends_keeps_nothing_back(process: Process) -> None:
    process.be_busy()
    process.boxes[0].write(b"a")
    process.turn.leave()
    assert process.transports[0].written == b"a"
    process.boxes[0].write(b"b")
    assert process.transports[0].written == b"ab"


piece = st.sampled_from([b"a", b"bc", b"d" * 1000, LONG, b""])
acts = st.lists(st.one_of(st.tuples(st.integers(0, 2), piece), st.none()), max_size=60)


@given(acts)
def test_every_connection_gets_what_was_written_to_it_whole_and_in_order(steps: list[tuple[int, bytes] | None]) -> None:
    """None ends a turn."""
    with pytest.MonkeyPatch.context() as patch:
        process = Process(connections=3)
        patch.setattr(outbox, "turn", process.turn)
        wrote = [b"", b"", b""]
        for step in steps:
            if step is None:
                process.loop.run()
            else:
                at, data = step
                (process.boxes[at].writelines((data, b"!")) if data == b"bc" else process.boxes[at].write(data))
                wrote[at] += data + (b"!" if data == b"bc" else b"")
        process.loop.run()
        assert [transport.written for transport in process.transports] == wrote


def answered(reads: list[bytes], *, is_busy: bool) -> tuple[bytes, bool]:
    """What a client of our server got for READS, and whether FIN came after it."""
    with pytest.MonkeyPatch.context() as patch:
        joined = Turn()
        patch.setattr(outbox, "turn", joined)
        patch.setattr(server, "turn", joined)
        if is_busy:
            patch.setattr(outbox, "WRITES_BUSY", -1)
        client = Client(read_then_answer)
        joined.join(client.turns, lambda: None)  # type: ignore[arg-type]
        client.turns.run()
        joined.is_busy = is_busy
        for read in reads:
            client.transport.feed(read)
        client.turns.run()
        return client.transport.written, client.transport.has_written_eof


requests = st.lists(
    st.sampled_from(
        [post(b"abc"), post_chunked(b"3\r\nabc\r\n0\r\n\r\n"), post(b"", b"Connection: close"), b"?\r\n\r\n"]
    ),
    min_size=1,
    max_size=6,
)


@given(requests, st.lists(st.integers(1, 60), max_size=8))
def test_busy_or_not_a_client_gets_the_same_answers_and_the_same_end(asked: list[bytes], sizes: list[int]) -> None:
    stream, reads = b"".join(asked), []
    for size in sizes:
        reads.append(stream[:size])
        stream = stream[size:]
    reads = [read for read in (*reads, stream) if read]
    assert answered(reads, is_busy=True) == answered(reads, is_busy=False)


def test_client_who_ends_its_side_gets_what_it_was_answered_in_that_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = Turn()
    monkeypatch.setattr(outbox, "turn", joined)
    monkeypatch.setattr(server, "turn", joined)
    client = Client(read_then_answer)
    joined.join(client.turns, lambda: None)  # type: ignore[arg-type]
    joined.is_busy = True
    client.transport.feed(post(b"abc"))
    assert client.transport.written == b""
    client.connection.eof_received()
    assert client.transport.written.endswith(b"ok")
