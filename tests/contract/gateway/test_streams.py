"""Streams that do not come to their end: what the caller is told in-band, what is charged, and who is stopped."""

import json
import threading
from pathlib import Path

import pytest
from tests.contract.gateway.test_upstream_faults import CHAT, DIALECTS, GEMINI, MESSAGES, RESPONSES, streaming
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.raw import Answer, Raw
from tests.support.server import UPSTREAM_KEY, Caller, Server
from tests.support.upstream import Do, Upstream, chunk

MICRO = 1_000_000


def assert_failed_in_band(answer: Answer, path: str, kind: str = "api_error") -> None:
    """The last event says it in the dialect of PATH (clients.md 5.2), and nothing follows."""
    assert answer.status == 200
    last = answer.events[-1]
    assert b"[DONE]" not in answer.payloads
    assert UPSTREAM_KEY not in str(answer)
    if path == RESPONSES:
        assert last["type"] == "response.failed"
        assert last["response"]["status"] == "failed"
        assert last["response"]["error"]["message"]
        numbers = [event["sequence_number"] for event in answer.events]
        assert numbers == sorted(numbers)
    elif "models/" in path:
        assert isinstance(last["error"]["code"], int)
        assert last["error"]["status"].isupper()
        assert b"event:" not in answer.body
    else:
        assert last["error"]["type"] == kind
        assert last["error"]["message"]
        assert last["type"] == "error"
        assert answer.body.endswith(b"\n\n")
        assert (b"event: error\n" in answer.body) == (path == MESSAGES)


BREAKS = [
    pytest.param([Do.CUT], id="cut"),
    pytest.param([Do.CLOSE], id="closed"),
    pytest.param([chunk(b"event: x\ndata: {"), Do.CUT], id="cut inside an event"),
    pytest.param([b"40\r\nda", Do.CLOSE], id="cut inside a chunk"),
    pytest.param([b"+5\r\nhello\r\n"], id="a bad chunk size"),
    pytest.param([b"5\r\nhelloX"], id="a chunk without its end"),
    pytest.param([b"0\r\n\r\n"], id="ended before its last event"),
    pytest.param([chunk(b": comment\n\n"), b"0\r\n\r\n"], id="only a comment follows"),
]


@pytest.mark.parametrize(("path", "body", "_whole", "events"), DIALECTS)
@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_stream_ends_in_band_and_charges_what_came(
    broken, path, body, _whole, events, server: Server, upstream: Upstream
):
    payer = server.caller(1000)
    gate = upstream.gate()
    upstream.answer("up-first", [*scripts.stream(events(["some words "] * 30)[:3], ends=False), gate, *broken])
    path, body = streaming(path, body)
    with Raw(server.url) as connection:
        connection.post(path, body, payer.secret)
        head = connection.head()
        first = next(connection.chunks())
        gate.open()
        answer = Answer(head.status, head.fields, first + b"".join(connection.chunks()))
    assert_failed_in_band(answer, path)
    row = server.usage(answer.request_id)
    assert row["is_estimated"]
    assert (row["status"], row["error_type"]) == (502, "api_error")
    assert row["attempts"] == 1
    server.is_idle(payer)
    assert server.balance(payer).ledger == 1000 * MICRO - row["charged"] < 1000 * MICRO


def test_a_stream_of_nothing_is_no_answer(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("up-first", *[scripts.stream([b": keep-alive\n\n"])] * 2)
    body = {"model": "one-target", "messages": [], "stream": True}
    assert server.call(CHAT, body, caller.secret).status == 502


@pytest.mark.parametrize(("path", "body", "_whole", "events"), DIALECTS)
def test_a_stream_cut_where_json_was_asked_for_is_one_clean_error(
    path, body, _whole, events, server: Server, upstream: Upstream
):
    payer = server.caller(1000)
    cut = scripts.stream(events()[:-1] if path != MESSAGES else events()[:-2])
    upstream.answer("up-first", cut, cut)  # nothing of the first went out, so it is asked a second time
    answer = server.call(path, body, payer.secret)
    if path == CHAT:  # a finish reason and usage are an end, even where [DONE] is left out
        assert answer.status == 200
        return
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert server.usage(answer.request_id)["charged"] == 0


def test_usage_said_before_the_cut_is_used(server: Server, upstream: Upstream, caller: Caller):
    events = vendors.messages_events(["word " * 200])
    upstream.answer("up-first", scripts.stream([*events[:4], Do.CUT], ends=False))
    path, body = streaming(MESSAGES, {"model": "one-target", "messages": [], "max_tokens": 999})
    row = server.usage(server.call(path, body, caller.secret).request_id)
    assert (row["input_tokens"], row["cache_read_tokens"], row["cache_write_1h_tokens"]) == (500, 400, 40)
    assert row["output_tokens"] == pytest.approx(250, rel=0.1)
    assert row["is_estimated"]


# -- the client leaves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("path", "body", "_whole", "_events"), DIALECTS)
def test_who_leaves_before_the_first_byte_pays_nothing(
    path, body, _whole, _events, is_stream, server: Server, upstream: Upstream
):
    payer = server.caller(1000)
    upstream.answer("up-first", [upstream.gate()])
    if is_stream:
        path, body = streaming(path, body)
    with Raw(server.url) as connection:
        connection.post(path, body, payer.secret)
        request = upstream.request()
        server.wait_for(lambda: server.balance(payer).free < 1000 * MICRO, "the hold")
    request.gone.wait()
    row = server.rows_of(payer, 1)[0]
    assert (row["status"], row["error_type"], row["charged"]) == (499, "client_gone", 0)
    server.is_idle(payer)
    assert server.balance(payer).ledger == 1000 * MICRO


@pytest.mark.parametrize(("path", "body", "_whole", "events"), DIALECTS)
def test_who_leaves_in_mid_stream_stops_the_upstream_and_pays_what_was_made(
    path, body, _whole, events, server: Server, upstream: Upstream
):
    payer = server.caller(1000)
    words = "word " * 160
    said = events([words] * 5)
    upstream.answer("up-first", scripts.stream([*said[:-4], upstream.gate()]))
    path, body = streaming(path, body)
    with Raw(server.url) as connection:
        connection.post(path, body, payer.secret)
        assert connection.head().status == 200
        for _ in said[:-4]:
            next(connection.chunks())
        request = upstream.request()
        assert not request.gone.has_happened
    request.gone.wait(5)
    row = server.rows_of(payer, 1)[0]
    made = b"".join(said[:-4]).count(words.encode()) * 200
    assert (row["status"], row["error_type"], row["is_estimated"]) == (499, "client_gone", True)
    assert row["output_tokens"] == pytest.approx(made, rel=0.15)
    server.is_idle(payer)
    assert server.balance(payer).ledger == 1000 * MICRO - row["charged"] < 1000 * MICRO


# -- back-pressure -----------------------------------------------------------------------------------------------------


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    return int(fields[1]) * 4096


def test_a_slow_client_slows_its_upstream_and_costs_no_memory(server: Server, upstream: Upstream, caller: Caller):
    event = vendors.chat_chunk({"content": "x" * 60_000})
    count = 1500  # 90 MB
    upstream.answer("up-first", [*scripts.stream([], ends=False), *[chunk(event)] * count])
    before = resident_bytes(server.pids["data-0"])
    with Raw(server.url, receive_bytes=512 * 1024) as connection:
        connection.post(CHAT, {"model": "one-target", "messages": [], "stream": True}, caller.secret)
        assert connection.head().status == 200
        request = upstream.request()
        seen = -1
        while seen != (seen := request.sent_bytes) or not seen:  # until it moves no more
            threading.Event().wait(0.5)
        assert seen < 30 * 1024 * 1024
        assert resident_bytes(server.pids["data-0"]) - before < 20 * 1024 * 1024
        got = 0
        while got < count * len(event) // 2:  # events are gathered into longer chunks meanwhile
            got += len(next(connection.chunks()))
        assert request.sent_bytes > seen
    request.gone.wait()


# -- silence -----------------------------------------------------------------------------------------------------------

HEARTBEATS = {
    CHAT: b": keep-alive\n\n",
    MESSAGES: b'event: ping\ndata: {"type":"ping"}\n\n',
    RESPONSES: b'event: keepalive\ndata: {"type":"keepalive","sequence_number":',
    GEMINI: b'data: {"candidates":[{"content":{"role":"model","parts":[]},"index":0}]}\n\n',
}


def test_heartbeats_while_an_upstream_is_silent(server: Server, upstream: Upstream, caller: Caller):
    """All at once, since each has to be waited for: every dialect, silent before its head, after it said nothing but
    that it will answer (which is held back, so that another target may still answer), and in mid-stream."""
    open_calls = []
    for silent_after in ("nothing", "an announcement", "content"):
        for path, body, _, events in (case.values for case in DIALECTS):
            if path == GEMINI and silent_after == "an announcement":
                continue  # it has none
            gate = upstream.gate()
            said = events()
            begun = {"nothing": 0, "an announcement": 1, "content": len(said) // 2}[silent_after]
            upstream.answer(
                "up-first",
                scripts.stream([*said[:begun], gate, *said[begun:]]) if begun else [gate, *scripts.stream(said)],
            )
            connection = Raw(server.url)
            route, fields = streaming(path, body)
            connection.post(route, fields, caller.secret)
            upstream.request(len(open_calls))
            open_calls.append((path, said, said[:begun] if silent_after == "content" else [], connection, gate))
    for path, said, first, connection, gate in open_calls:
        with connection:
            head = connection.head()
            assert head.status == 200
            assert head.get("content-type").startswith("text/event-stream")
            chunks = connection.chunks()
            got = b""
            while got != b"".join(first):
                got += next(chunks)
                assert b"".join(first).startswith(got)
            assert next(chunks).startswith(HEARTBEATS[path])
            gate.open()
            rest = b"".join(chunks)
            assert rest.endswith(said[-1]) or path == CHAT
            if not first:
                assert rest.startswith(said[0])
                assert json.dumps(vendors.TEXT[1], ensure_ascii=False).encode()[1:-1] in rest


def test_a_silent_upstream_is_given_up_after_its_timeout(server: Server, upstream: Upstream, caller: Caller):
    gates = [upstream.gate() for _ in range(4)]
    upstream.answer("up-silent", *[[gate] for gate in gates[:2]])
    answer = server.call(CHAT, {"model": "silent", "messages": []}, caller.secret)
    assert (answer.status, answer.error["type"]) == (504, "timeout_error")
    said = vendors.chat_events()
    upstream.answer("up-silent", scripts.stream([*said[:2], gates[2]]))
    answer = server.call(CHAT, {"model": "silent", "messages": [], "stream": True}, caller.secret)
    assert_failed_in_band(answer, CHAT, "timeout_error")
