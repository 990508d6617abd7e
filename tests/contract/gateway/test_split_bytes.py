"""Every event of every dialect split at every byte: the caller gets the same, the same is charged, the same is refused.

Below the sockets, since a server for each byte would take too long: a real conductor asks a real target over a
connection whose reads the test cuts. `test_fault_table` sends a byte a chunk through the server.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.contract.gateway.formats import CHAT, FORMATS, Format
from tests.support.clients import splits
from tests.support.transports import RecordingTransport
from tests.support.upstreams import OUT_HEAD, Pool, payload_of

from hypereal.catalog import TargetSpec
from hypereal.gateway.attempts import open_answer
from hypereal.gateway.bill import Bill
from hypereal.gateway.call import Call
from hypereal.gateway.facts import read_facts
from hypereal.gateway.health import KeyRing
from hypereal.gateway.rewriters import rewriter_for
from hypereal.gateway.routing import Target, Way
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import UpstreamFailed
from hypereal.kit.usage import Usage
from hypereal.net import LAST_CHUNK, RequestHead, Upstream, chunk
from hypereal.providers import load
from hypereal.wire import DIALECTS

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DIALECT_OF = {
    "chat": Dialect.OPENAI_CHAT,
    "messages": Dialect.ANTHROPIC_MESSAGES,
    "responses": Dialect.OPENAI_RESPONSES,
    "gemini": Dialect.GEMINI,
}
PROVIDER = load(
    {"p": {"dialects": [str(one) for one in Dialect], "base_url": "http://127.0.0.1:9/v1", "api_key": "k"}},
    {},
    Path("/run/local.sock"),
)["p"]


@dataclass
class Got:
    """What came of one stream."""

    relayed: bytes = b""
    usage: Usage | None = None
    is_complete: bool = False
    refusal: UpstreamFailed | None = None


def ask(format: Format, reads: tuple[bytes, ...], *, asks_usage: bool = True) -> Got:
    """Ask a target that answers in READS, as the gateway does, and relay what it says."""
    dialect, got = DIALECT_OF[format.name], Got()
    upstream, transport, out = Upstream(Pool()), RecordingTransport(), RecordingTransport()
    transport.connect(upstream)
    pools: Any = SimpleNamespace(of=lambda _: SimpleNamespace(take=lambda: upstream))
    way = Way(Target(PROVIDER, TargetSpec(provider="p", model="m"), "m"), dialect, None, pools=pools, keys=KeyRing(1))
    request_head = RequestHead(b"POST", b"/", b"")
    nothing: Any = None
    call = Call(nothing, request_head, read_facts(request_head))
    call.deadline_s = 0.0  # a second try would have to be waited for
    bill = Bill(call, nothing)
    bill.request = request = DIALECTS[dialect].read(_body(format, asks_usage))

    async def conductor() -> None:
        try:
            await open_answer(call, bill, (way,))
        except UpstreamFailed as refusal:
            got.refusal = refusal
            return
        upstream.relay(out, OUT_HEAD, rewriter_for(call, request, way, bill, upstream))
        if not upstream.is_done:
            await call.wait()
        tail = upstream.last_events()
        got.usage = way.wire.usage_of_stream(upstream.first, tail, way.profile)
        got.is_complete = way.wire.is_complete(tail)

    call.begin(conductor())
    for read in reads:
        transport.feed(read)
    assert call.is_over
    got.relayed = payload_of(out) if out.writes else b""
    return got


def _body(format: Format, asks_usage: bool) -> bytes:
    _, body = format.call("m", is_stream=True)
    if not asks_usage:
        del body["stream_options"]
    return json.dumps({"model": "m", "hypereal": {"cache": False}, **body}).encode()


def wires(events: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """EVENTS as they may stand on the wire."""
    yield "an event a chunk", HEAD + b"".join(map(chunk, events)) + LAST_CHUNK
    yield "one chunk", HEAD + chunk(b"".join(events)) + LAST_CHUNK
    yield "CRLF", HEAD + b"".join(chunk(event.replace(b"\n", b"\r\n")) for event in events) + LAST_CHUNK


CASES = [
    pytest.param(format, wire, id=f"{format.name}-{name}")
    for format in FORMATS
    for name, wire in wires(format.events())
]


@pytest.mark.parametrize(("format", "wire"), CASES)
def test_an_answer_is_the_same_however_it_is_split(format: Format, wire: bytes):
    whole = ask(format, (wire,))
    assert whole.relayed.replace(b"\r\n", b"\n") == b"".join(format.events())
    assert whole.usage is not None and not whole.usage.is_estimated
    assert (whole.usage.output_tokens, whole.is_complete) == (200, True)
    for reads in splits(wire):
        assert ask(format, reads) == whole
    assert ask(format, tuple(wire[at : at + 1] for at in range(len(wire)))) == whole


@pytest.mark.parametrize(("format", "wire"), [case for case in CASES if "chat" in str(case.id)])
def test_usage_that_was_not_asked_for_is_moved_in_any_split(format: Format, wire: bytes):
    whole = ask(format, (wire,), asks_usage=False)
    assert b'"choices": []' not in whole.relayed and b'"choices":[]' not in whole.relayed
    assert whole.relayed.count(b'"prompt_tokens"') == 1
    for reads in splits(wire):
        assert ask(format, reads, asks_usage=False) == whole
    assert ask(format, tuple(wire[at : at + 1] for at in range(len(wire))), asks_usage=False) == whole


FAILURES = [
    pytest.param(format, wire, id=f"{format.name}-{name}")
    for format in FORMATS
    for name, wire in wires(
        [format.sign_of_life, *format.events()[: format.announcements], format.sign_of_life, format.error]
    )
]


@pytest.mark.parametrize(("format", "wire"), FAILURES)
def test_an_error_before_any_content_is_seen_in_any_split_and_nothing_goes_out(format: Format, wire: bytes):
    for reads in [*splits(wire), tuple(wire[at : at + 1] for at in range(len(wire)))]:
        got = ask(format, reads)
        assert got.refusal is not None
        assert not got.relayed


@pytest.mark.parametrize("format", FORMATS, ids=lambda one: one.name)
def test_a_stream_that_ends_too_early_never_looks_whole(format: Format):
    """However cleanly: it is refused before its content, and after it it is not taken for an answer."""
    events = format.events()
    ending = events[:-1] if format is CHAT else events  # a finish and usage are an end: some leave [DONE] out
    stream, whole_at = b"".join(events), len(b"".join(ending).rstrip())
    for at in range(1, len(stream)):
        got = ask(format, (HEAD + chunk(stream[:at]) + LAST_CHUNK,))
        assert (got.refusal is None and got.is_complete) == (at >= whole_at)
