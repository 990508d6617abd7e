"""Speech is heard while its vendor makes it; a part of it is never taken for the whole, and never paid for."""

from collections.abc import Iterator

import pytest
from tests.support.background import Background
from tests.support.ledger import micro
from tests.support.media_vendors import MP3
from tests.support.raw import Raw
from tests.support.server import Caller, Server
from tests.support.upstream import Do, Upstream, chunk, plain, raw

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST, REST = MP3[:100], MP3[100:]
ASKED = {"model": "audio-tts", "input": "Hello."}
PATH = "/v1/audio/speech"


@pytest.fixture
def vendor(background: Background) -> Iterator[Upstream]:
    """OpenAI, as far as speech goes."""
    upstream = Upstream(background)
    yield upstream
    upstream.close()


@pytest.fixture
def server(background: Background, vendor: Upstream) -> Iterator[Server]:
    running = Server(background, {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": f"{vendor.url}/v1"})
    yield running
    assert running.audit() == []
    assert running.stop() == 0


@pytest.fixture
def caller(server: Server) -> Caller:
    return server.caller(1000)


def newest_job(server: Server, caller: Caller) -> dict[str, object]:
    jobs = server.call("/v1/jobs", b"", caller.secret, method="GET").json["data"]
    return dict(jobs[0])


def test_the_first_sound_is_heard_before_the_last_is_made(server, vendor, caller):
    gate = vendor.gate()
    vendor.answer_all(lambda _: raw(HEAD + chunk(FIRST), gate, chunk(REST) + b"0\r\n\r\n"))
    with Raw(server.url) as client:
        client.post(PATH, ASKED, caller.secret)
        head = client.head()
        assert (head.status, head.get("content-type"), head.get("x-hypereal-provider")) == (200, "audio/mpeg", "openai")
        assert head.get("x-hypereal-cost-credits") is None, "nobody knows yet"
        heard = client.chunks()
        assert next(heard) == FIRST
        assert newest_job(server, caller)["status"] == "processing"
        gate.open()
        assert b"".join(heard) == REST
    server.wait_for(lambda: newest_job(server, caller)["status"] == "completed", "the end")
    assert newest_job(server, caller)["creditsUsed"] == 2
    assert server.balance(caller).free == micro(998)
    assert len(vendor.requests) == 1


def test_speech_that_breaks_off_is_cut_and_costs_nothing(server, vendor, caller):
    gate = vendor.gate()
    vendor.answer_all(lambda _: raw(HEAD + chunk(FIRST), gate, Do.CUT))
    with Raw(server.url) as client:
        client.post(PATH, ASKED, caller.secret)
        assert client.head().status == 200
        assert next(client.chunks()) == FIRST
        gate.open()
        assert client.is_closed()
    server.wait_for(lambda: newest_job(server, caller)["status"] == "failed", "the end")
    assert server.balance(caller).free == micro(1000)
    assert len(vendor.requests) == 1, "what was heard of one cannot go on at another"


def test_who_leaves_leaves_the_job_to_go_on(server, vendor, caller):
    gate = vendor.gate()
    vendor.answer_all(lambda _: raw(HEAD + chunk(FIRST), gate, chunk(REST) + b"0\r\n\r\n"))
    with Raw(server.url) as client:
        client.post(PATH, ASKED, caller.secret)
        assert next(iter([client.head()])).status == 200
        assert next(client.chunks()) == FIRST
    gate.open()
    server.wait_for(lambda: newest_job(server, caller)["status"] == "completed", "the end")


def test_a_refusal_before_the_first_sound_is_an_answer(server, vendor, caller):
    vendor.answer_all(lambda _: plain({"error": {"message": "no", "type": "invalid_request_error"}}, 400))
    answer = server.call(PATH, ASKED, caller.secret)
    assert answer.status == 400
    assert server.balance(caller).free == micro(1000)
