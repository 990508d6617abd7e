import pytest
from tests.support.clients import OK, OK_CLOSE, Client, Exchange, post, post_chunked, read_then_answer, splits

from hypereal.net import budget, chunk
from hypereal.net.server import (
    BODY_S_MAX,
    DRAINING_S,
    HEAD_S_MAX,
    IDLE_S_MAX,
    LINGER_S,
    LONG_BODY_BYTES,
    PIPELINED_BYTES_MAX,
    STALLED_S_MAX,
)

GET = b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture(autouse=True)
def _bodies_are_given_back():
    yield
    assert budget.bytes_held == 0


def ignore(call: Exchange) -> None:
    """Begin, and leave the call waiting."""


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_bytes", [GET, post(b"hello"), post_chunked(chunk(b"he") + chunk(b"llo") + b"0\r\n\r\n")]
)
def test_request_is_the_same_when_split_at_every_byte(request_bytes):
    for reads in [*splits(request_bytes), tuple(request_bytes[i : i + 1] for i in range(len(request_bytes)))]:
        client = Client(read_then_answer)
        assert client.send(*reads) == OK
        assert client.call.body == (b"" if request_bytes == GET else b"hello")


def test_chunked_body_may_have_extensions_and_trailers():
    client = Client(read_then_answer)
    assert client.send(post_chunked(b'3;a=b;c="d e"\r\nabc\r\n00;x\r\nDigest: none\r\n\r\n') + GET) == OK + OK
    assert [call.body for call in client.desk.calls] == [b"abc", b""]


@pytest.mark.parametrize(
    "chunks",
    [
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"5;\x00\r\nhello\r\n0\r\n\r\n",
        b"123456789\r\nhello",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\nContent-Length : 5\r\n\r\n",
        b"0\r\ncontent-length: 5\r\n\r\n",
        b"0\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\nA: " + b"x" * 9000 + b"\r\n\r\n",
    ],
)
def test_chunked_body_that_breaks_the_grammar_fails_whole_or_split_and_nothing_after_it_runs(chunks):
    whole = Client(lambda call: call.read())
    whole.send(post_chunked(chunks + GET))
    assert whole.call.failure is not None
    assert whole.call.failure.status == 400
    head, rest = post_chunked(b""), chunks + GET
    for cut in [*range(1, min(len(rest), 40)), len(rest)]:
        split = Client(lambda call: call.read())
        split.send(head, rest[:cut], rest[cut:])
        assert split.call.told == ["failed"]
        split.call.answer()
        split.send(GET)
        assert len(split.desk.calls) == 1
        split.transport.lose()
    whole.call.answer()


def test_failure_in_the_part_of_the_body_that_is_here_is_raised_not_told():
    client = Client(lambda call: call.read())
    client.send(post_chunked(b"+1\r\n"))
    assert client.call.told == []
    assert client.call.failure is not None
    client.transport.lose()


@pytest.mark.parametrize("step", [1, 1000, 70_000, 400_000])
def test_long_body_is_received_whole_and_the_next_request_follows(step):
    body = bytes(range(256)) * 1000
    if step == 1:
        body = body[: LONG_BODY_BYTES + 2000]
    data = post(body) + GET
    client = Client(read_then_answer)
    written = client.send(*(data[i : i + step] for i in range(0, len(data), step)))
    assert written == OK + OK
    assert client.desk.calls[0].body == body


def test_body_over_the_bound_is_413_before_a_byte_of_it_is_read():
    client = Client(lambda call: call.read(), body_bytes_max=10)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
    assert client.call.failure is not None
    assert client.call.failure.status == 413
    assert client.transport.written == b""


def test_chunked_body_that_grows_over_the_bound_is_413_and_the_connection_closes():
    client = Client(lambda call: call.read(), body_bytes_max=10)
    client.send(post_chunked(chunk(b"12345678")), chunk(b"901"))
    assert client.call.failure is not None
    assert client.call.failure.status == 413
    client.call.answer()
    assert client.transport.written.endswith(OK_CLOSE)
    assert client.transport.has_written_eof


def test_bytes_after_a_chunked_413_are_not_run():
    client = Client(lambda call: call.read(), body_bytes_max=3)
    client.send(post_chunked(chunk(b"12345678") + b"0\r\n\r\n") + GET)
    client.call.answer()
    client.send(GET)
    assert len(client.desk.calls) == 1


def test_continue_is_said_only_when_the_body_is_still_to_come():
    expect = b"Expect: 100-continue"
    whole, head = post(b"hello", expect), post(b"", expect).replace(b"th: 0", b"th: 5")
    assert Client(read_then_answer).send(whole) == OK
    assert Client(read_then_answer).send(head, b"hello") == CONTINUE + OK
    assert Client(read_then_answer).send(head + b"he", b"llo") == OK
    assert Client(read_then_answer).send(post_chunked(b"", expect), chunk(b"a") + b"0\r\n\r\n") == CONTINUE + OK
    assert Client(read_then_answer).send(post_chunked(chunk(b"a"), expect), b"0\r\n\r\n") == OK
    assert Client(read_then_answer).send(head.replace(b"HTTP/1.1", b"HTTP/1.0"), b"hello") == OK_CLOSE


def test_continue_is_not_said_to_a_call_that_refuses_without_reading():
    client = Client(Exchange.answer)
    assert client.send(post(b"", b"Expect: 100-continue").replace(b"th: 0", b"th: 5")) == OK_CLOSE


def test_many_tiny_chunks_are_gathered_in_one_buffer():
    client = Client(read_then_answer)
    client.send(post_chunked(b""), *[chunk(b"x") * 50] * 400, b"0\r\n\r\n")
    assert client.call.body == b"x" * 20_000


# -- streamed bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [post(b"hello"), post_chunked(chunk(b"he") + chunk(b"llo") + b"0\r\n\r\n")])
def test_streamed_body_comes_in_pieces_and_ends_with_an_empty_one(data):
    for reads in splits(data):
        pieces: list[bytes] = []
        client = Client(lambda call, pieces=pieces: call.connection.stream_body(pieces.append))
        client.send(*reads)
        assert b"".join(pieces) == b"hello"
        assert pieces[-1] == b""
        assert b"" not in pieces[:-1]
        assert client.call.told == []


def test_sink_of_a_request_without_a_body_does_not_get_the_next_ones():
    pieces: list[bytes] = []

    def begin(call: Exchange) -> None:
        if call.head.method == b"GET":
            call.connection.stream_body(pieces.append)
            call.answer()
        else:
            read_then_answer(call)

    client = Client(begin)
    assert client.send(GET, post(b"").replace(b"th: 0", b"th: 5"), b"hello") == OK + OK
    assert pieces == [b""]
    assert client.call.body == b"hello"


def test_streamed_body_is_held_back_by_its_reader_and_is_not_stalled_meanwhile():
    pieces: list[bytes] = []
    client = Client(lambda call: call.connection.stream_body(pieces.append))
    client.send(post(b"x" * 100)[:-50])
    client.connection.pause_body()
    assert not client.transport.is_reading
    client.sweep(STALLED_S_MAX * 2)
    assert not client.transport.ended
    client.connection.resume_body()
    assert client.transport.is_reading
    client.sweep(STALLED_S_MAX)
    assert client.transport.ended == "abort"


def test_streamed_body_may_take_as_long_as_it_moves_but_a_gathered_one_not():
    for begin, outcome in (
        (lambda call: call.connection.stream_body(lambda piece: None), ""),
        (lambda call: call.read(), "abort"),
    ):
        client = Client(begin)
        client.send(post(b"x" * (BODY_S_MAX + 9))[: -BODY_S_MAX - 8])
        for _ in range(BODY_S_MAX):
            client.send(b"x")
            client.sweep(1)
        assert client.transport.ended == outcome
        client.transport.lose()


def test_streamed_body_that_breaks_later_is_told():
    client = Client(lambda call: call.connection.stream_body(lambda piece: None))
    client.send(post_chunked(chunk(b"a")), b"zz\r\n")
    assert client.call.told == ["failed"]


# -- the budget --------------------------------------------------------------------------------------------------------


@pytest.fixture
def _small_budget(monkeypatch):
    monkeypatch.setattr(budget, "bytes_max", 100)


@pytest.mark.usefixtures("_small_budget")
@pytest.mark.parametrize("data", [post(b"x" * 80), post_chunked(chunk(b"x" * 80) + b"0\r\n\r\n")])
def test_body_over_the_budget_waits_unread_until_another_is_dropped(data):
    first, second = (Client(lambda call: call.read(), body_bytes_max=100) for _ in range(2))
    first.send(data[:-10], data[-10:])
    second.send(data[:-10])
    assert not second.transport.is_reading
    first.connection.drop_body()
    second.turns.run()
    assert second.transport.is_reading
    second.send(data[-10:])
    assert second.call.body == b"x" * 80
    assert budget.bytes_held == 80
    second.call.answer()
    first.call.answer()


@pytest.mark.usefixtures("_small_budget")
def test_body_that_waits_for_the_budget_is_forgotten_with_its_call():
    data = post(b"x" * 80)
    holder = Client(lambda call: call.read())
    holder.send(data[:-1], data[-1:])
    refused, lost, reserved = (Client(lambda call: call.read()) for _ in range(3))
    for client in (refused, lost, reserved):
        client.send(data[:-1])
    refused.call.answer()
    lost.transport.lose()
    holder.connection.drop_body()
    reserved.call.answer()  # after its room came, before it was taken
    for client in (refused, lost, reserved):
        client.turns.run()
        assert client.call.body is None
    holder.call.answer()


@pytest.mark.usefixtures("_small_budget")
def test_waiting_chunked_body_that_is_broken_is_told_when_its_turn_comes():
    holder = Client(lambda call: call.read())
    holder.send(post(b"x" * 80)[:-1], b"x")
    waiting = Client(lambda call: call.read(), body_bytes_max=50)
    waiting.send(post_chunked(b"zz\r\n"))
    holder.call.answer()
    waiting.turns.run()
    assert waiting.call.told == ["failed"]
    waiting.call.answer()


def test_long_body_that_came_with_its_head_is_counted():
    client = Client(lambda call: call.read())
    client.send(post(b"x" * (LONG_BODY_BYTES + 1)))
    assert budget.bytes_held == LONG_BODY_BYTES + 1
    client.connection.drop_body()
    assert client.connection.body == b""


def test_chunked_body_keeps_only_what_it_takes():
    client = Client(lambda call: call.read(), body_bytes_max=1000)
    client.send(post_chunked(chunk(b"abc")))
    assert budget.bytes_held == 1000
    client.send(b"0\r\n\r\n")
    assert budget.bytes_held == 3
    client.transport.lose()


# -- one after another -------------------------------------------------------------------------------------------------


def test_thousand_pipelined_requests_are_answered_in_order_without_recursion():
    client = Client(Exchange.answer)
    paths = [b"/%d" % n for n in range(1000)]
    written = client.send(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths))
    assert written == OK * 1000
    assert [call.head.path for call in client.desk.calls] == paths


def test_thousand_pipelined_refusals_with_bodies_are_deep_enough():
    client = Client(Exchange.answer)
    assert client.send(post(b"hello") * 1000) == OK * 1000


def test_next_request_waits_until_the_call_before_it_is_done():
    client = Client(ignore)
    client.send(GET + GET[:10], GET[10:])
    assert len(client.desk.calls) == 1
    client.call.answer()
    client.turns.run()
    assert len(client.desk.calls) == 2


def test_pipelined_bytes_are_bounded_by_not_reading():
    client = Client(ignore)
    client.send(GET, b"x" * (PIPELINED_BYTES_MAX + 1))
    assert not client.transport.is_reading


def test_pipelining_client_is_not_read_faster_than_it_is_answered():
    client = Client(Exchange.answer)
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000 + b"\r\n\r\n"
    client.transport.feed(request * 200)
    assert not client.transport.is_reading
    client.turns.run()
    assert client.transport.is_reading
    assert client.transport.written == OK * 200


def test_client_that_does_not_read_its_answers_gets_no_further_ones():
    client = Client(ignore)
    client.send(GET)
    client.connection.pause_writing()
    client.call.answer()
    assert client.send(GET, GET) == OK
    assert len(client.desk.calls) == 1
    client.connection.resume_writing()
    client.turns.run()
    assert len(client.desk.calls) == 2


def test_one_connection_serves_gathered_streamed_and_long_bodies_one_after_another():
    sizes = [0, 5, LONG_BODY_BYTES * 3, 7, LONG_BODY_BYTES + 1]
    stream = b"".join(post(b"z" * size) + post_chunked(chunk(b"abc") + b"0\r\n\r\n") for size in sizes)
    for step in (1009, 65_536, 300_000):
        client = Client(read_then_answer)
        assert client.send(*(stream[i : i + step] for i in range(0, len(stream), step))) == OK * 10
        assert [len(call.body or b"") for call in client.desk.calls] == [n for size in sizes for n in (size, 3)]


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (GET, OK),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, close\r\n\r\n", OK_CLOSE),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", OK_CLOSE),
        (b"GET / HTTP/1.0\r\n\r\n", OK_CLOSE),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", OK),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", OK_CLOSE),
        (b"GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", OK_CLOSE),
    ],
)
def test_connection_lives_on_as_its_client_said(data, answer):
    client = Client(Exchange.answer)
    assert client.send(data) == answer
    assert client.transport.has_written_eof == (answer == OK_CLOSE)


@pytest.mark.parametrize("head", [post(b"", b"X: y").replace(b"th: 0", b"th: 62"), post_chunked(b"")])
def test_refused_request_whose_body_comes_later_is_not_smuggled_in_as_the_next(head):
    client = Client(Exchange.answer)
    assert client.send(head) == OK_CLOSE
    client.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [call.head.path for call in client.desk.calls] == [b"/"]


def test_unread_body_that_is_here_whole_is_thrown_away():
    client = Client(Exchange.answer)
    assert client.send(post(GET) + post(b"x")) == OK + OK


def test_answer_before_the_body_is_whole_ends_the_connection_and_drops_the_rest():
    for size in (1000, LONG_BODY_BYTES * 2):
        client = Client(lambda call: call.read())
        client.send(post(b"x" * size)[:-500])
        client.call.answer()
        assert client.send(b"x" * 500 + GET) == OK_CLOSE
        assert len(client.desk.calls) == 1
        assert budget.bytes_held == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
    ],
)
def test_malformed_head_is_refused_and_nothing_after_it_is_read(data):
    client = Client(Exchange.answer)
    assert client.send(data, GET).startswith(b"HTTP/1.1 400")
    assert client.desk.calls == []
    assert client.transport.has_written_eof


def test_head_over_the_bound_is_431_whole_or_split():
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"
    assert Client(ignore).send(head).startswith(b"HTTP/1.1 431")
    assert Client(ignore).send(head[:66_000], head[66_000:]).startswith(b"HTTP/1.1 431")


def test_empty_lines_before_a_request_are_skipped_in_any_split():
    for reads in splits(b"\r\n\r\n" + GET):
        assert Client(Exchange.answer).send(*reads) == OK


def test_lingering_connection_reads_until_eof_and_is_cut_after_a_while():
    client = Client(Exchange.answer)
    client.send(b"GET / HTTP/1.0\r\n\r\n", b"more")
    client.sweep(LINGER_S - 1)
    assert not client.transport.ended
    client.sweep(1)
    assert client.transport.ended == "abort"
    client.transport.lose()
    assert client.desk.connections == set()


def test_lingering_connection_gives_a_slow_reader_time_for_its_answer():
    client = Client(Exchange.answer)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    client.transport.backlog_bytes = 1 << 20
    client.sweep(STALLED_S_MAX - 1)
    client.transport.get_protocol().resume_writing()
    client.sweep(LINGER_S)
    assert not client.transport.ended
    client.transport.backlog_bytes = 0
    client.sweep(1)
    assert client.transport.ended == "abort"


@pytest.mark.parametrize("sent", [GET, post(b"x" * 9)[:-1], post(b"x" * 200_000)[:-1], post_chunked(b"5\r\nab")])
def test_call_is_told_once_when_its_client_leaves(sent):
    client = Client(lambda call: call.read())
    client.send(sent)
    client.transport.lose(ConnectionResetError())
    assert client.call.told == ["gone"]
    assert client.connection.is_closed
    client.connection.done()
    assert client.desk.connections == set()


def test_client_that_leaves_between_requests_leaves_nothing():
    client = Client(Exchange.answer)
    client.send(GET, GET[:5])
    client.transport.lose()
    assert client.call.told == []
    assert client.desk.connections == set()


def test_aborted_call_is_not_told_and_runs_nothing_more():
    client = Client(ignore)
    client.send(GET + GET)
    client.connection.abort()
    client.connection.done()
    client.turns.run()
    client.transport.lose()
    assert client.call.told == []
    assert len(client.desk.calls) == 1
    assert not client.transport.has_written_eof


def test_half_closing_client_counts_as_gone():
    client = Client(ignore)
    client.send(GET)
    assert client.connection.eof_received() is False


def test_slow_reader_pauses_its_call_and_the_end_of_the_pause_resumes_it():
    client = Client(ignore)
    client.send(GET)
    client.connection.pause_writing()
    assert client.connection.is_out_paused
    client.connection.resume_writing()
    assert client.call.told == ["pause", "resume"]


def test_slow_reader_of_a_call_with_a_long_body_pauses_it_too():
    client = Client(lambda call: call.read())
    client.send(post(b"x" * 200_000)[:-1])
    client.transport.get_protocol().pause_writing()
    client.transport.get_protocol().resume_writing()
    assert client.call.told == ["pause", "resume"]
    client.transport.lose()


# -- sweeps ------------------------------------------------------------------------------------------------------------


def test_head_must_be_whole_in_time_even_when_it_drips():
    client = Client(ignore)
    for n in range(HEAD_S_MAX):
        assert not client.transport.ended
        client.send(GET[n : n + 1])
        client.sweep(1)
    assert client.transport.ended == "abort"


def test_idle_connection_is_ended_only_after_long():
    client = Client(Exchange.answer)
    client.send(GET)
    client.sweep(IDLE_S_MAX - 1)
    assert client.send(GET) == OK
    client.sweep(IDLE_S_MAX - 1)
    assert not client.transport.ended
    client.sweep(1)
    assert client.transport.ended


def test_call_may_take_long_and_its_client_may_pause_briefly_afterwards():
    client = Client(ignore)
    client.send(GET)
    client.sweep(STALLED_S_MAX * 10)
    client.connection.pause_writing()
    client.sweep(STALLED_S_MAX - 1)
    assert not client.transport.ended
    client.sweep(1)
    assert client.transport.ended == "abort"


def test_stalled_reader_cannot_buy_time_by_sending():
    client = Client(ignore)
    client.send(GET)
    client.connection.pause_writing()
    for _ in range(STALLED_S_MAX):
        client.send(b"x")
        client.sweep(1)
    assert client.transport.ended == "abort"


@pytest.mark.parametrize("size", [100, LONG_BODY_BYTES * 2])
def test_stalled_body_is_cut_and_a_moving_one_is_not(size):
    client = Client(lambda call: call.read())
    client.send(post(b"x" * size)[:-50])
    client.sweep(STALLED_S_MAX - 1)
    client.send(b"x")
    client.sweep(STALLED_S_MAX - 1)
    assert not client.transport.ended
    client.sweep(1)
    assert client.transport.ended == "abort"
    client.transport.lose()


def test_body_that_is_asked_for_late_is_not_stalled_at_once():
    client = Client(ignore)
    client.send(post(b"hello")[:-1])
    client.sweep(STALLED_S_MAX * 2)
    client.call.read()
    client.sweep(1)
    assert not client.transport.ended
    client.transport.lose()


def test_draining_answers_idle_clients_with_close_for_a_while_and_then_leaves():
    client = Client(Exchange.answer)
    client.send(GET)
    client.sweep(IDLE_S_MAX - 10)
    client.desk.is_draining = True
    client.sweep(DRAINING_S - 1)
    assert not client.transport.ended
    other = Client(Exchange.answer)
    other.desk.is_draining = True
    assert other.send(GET) == OK_CLOSE
    client.sweep(2)
    assert client.transport.ended


def test_draining_waits_for_calls():
    client = Client(ignore)
    client.send(GET)
    client.desk.is_draining = True
    client.sweep(IDLE_S_MAX * 2)
    assert not client.transport.ended
    client.call.answer()
    assert client.transport.written == OK_CLOSE


def test_connection_is_known_to_its_app_while_it_lives():
    client = Client(ignore)
    assert client.desk.connections == {client.connection}
