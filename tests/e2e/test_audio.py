"""The real server without any vendor's key speaks and listens: by its own API, and by OpenAI's client."""

import base64
import io
import json
from collections.abc import Iterator

import av
import openai
import pytest
from tests.support.background import Background
from tests.support.ledger import micro
from tests.support.server import Caller, Server

from hypereal.gateway.media import sounds

SAID = "The quick brown fox jumps over the lazy dog."
SPEECH, HEARD = "/v1/audio/speech", "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def alone(background: Background) -> Iterator[Server]:
    """A server whose targets all have no credential; when all is done its books agree."""
    running = Server(background, {})
    yield running
    assert running.audit() == []
    assert running.stop() == 0


@pytest.fixture(scope="module")
def said(alone: Server) -> bytes:
    """SAID, as an MP3."""
    return alone.call(SPEECH, {"model": "audio-tts", "input": SAID}, alone.caller(1000).secret).body


@pytest.fixture
def caller(alone: Server) -> Caller:
    return alone.caller(1000)


@pytest.fixture
def client(alone: Server, caller: Caller) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{alone.url}/v1", api_key=caller.secret, max_retries=0) as one:
        yield one


def fetched(server: Server, url: str) -> bytes:
    answer = server.call(url[url.index("/v1/files/") :], b"", "", method="GET")
    assert answer.status == 200
    return answer.body


def words(text: str) -> list[str]:
    return "".join(one for one in text.lower() if one.isalpha() or one == " ").split()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/generations", {"model": "audio-tts", "text": SAID, "voice_id": "en_male_calm"}),
        ("/v1/audio/generate", {"intent": "text-to-speech", "input": {"text": SAID, "format": "wav"}}),
    ],
)
def test_a_text_is_spoken_and_heard_again(alone, caller, path, body):
    spoken = alone.call(path, body, caller.secret)
    assert (spoken.status, spoken.json["creditsUsed"], len(spoken.json["data"])) == (200, 2, 1), spoken.body
    assert spoken.get("x-hypereal-provider") == "local"
    assert alone.usage(spoken.get("x-hypereal-request-id"))["charged"] == micro(2)
    heard = alone.call(
        "/v1/audio/generations", {"model": "audio-asr", "audio": spoken.json["data"][0]["url"]}, caller.secret
    )
    assert (heard.status, heard.json["creditsUsed"]) == (200, 1), heard.body
    assert words(heard.json["text"]) == words(SAID)
    assert heard.json["duration"] == pytest.approx(2.7, abs=0.7)
    assert heard.json["segments"][0]["start"] == 0
    job = alone.call(f"/v1/jobs/{heard.json['resultId']}", b"", caller.secret, method="GET").json
    assert (job["type"], job["status"]) == ("audio", "completed")
    assert words(json.loads(fetched(alone, job["outputUrl"]))["text"]) == words(SAID)
    assert alone.balance(caller).free == micro(997)


@pytest.mark.parametrize("form", list(sounds.TYPES))
def test_speech_comes_in_every_format(alone, caller, form):
    answer = alone.call(SPEECH, {"model": "tts-1", "input": "Hello.", "response_format": form}, caller.secret)
    assert (answer.status, answer.get("content-type")) == (200, sounds.TYPES[form])
    assert answer.get("x-hypereal-cost-credits") == "2"
    assert sounds.seconds_of(answer.body, sounds.TYPES[form]) == pytest.approx(0.7, abs=0.5)


def test_openais_client_speaks_and_listens(client, alone, caller, tmp_path):
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input=SAID)
    assert spoken.content[:3] in (b"ID3", b"\xff\xfb\x90", b"\xff\xf3\x84")
    file = tmp_path / "said.wav"
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="onyx", input=SAID, response_format="wav", speed=1.25
    ) as stream:
        stream.stream_to_file(file)
    with av.open(str(file)) as container:
        assert container.duration and container.duration < 2_700_000
    with file.open("rb") as opened:
        assert words(client.audio.transcriptions.create(model="whisper-1", file=opened).text) == words(SAID)
    told = client.audio.transcriptions.create(
        model="whisper-1",
        file=("said.mp3", spoken.content),
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )
    assert (told.language, words(told.segments[0].text)) == ("en", words(SAID))
    assert told.duration == pytest.approx(2.7, abs=0.7)
    text = client.audio.transcriptions.create(
        model="audio-asr", file=io.BytesIO(spoken.content), response_format="text"
    )
    assert words(str(text)) == words(SAID)
    assert alone.balance(caller).free == micro(1000 - 2 * 2 - 3)


@pytest.mark.parametrize(
    ("form", "begins"), [("srt", "1\n00:00:00,000 --> 00:00:0"), ("vtt", "WEBVTT\n\n00:00:00.000 --> ")]
)
def test_openais_client_gets_subtitles(client, said, form, begins):
    told = client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", said), response_format=form)
    assert str(told).startswith(begins)
    assert "fox" in str(told)


@pytest.mark.parametrize(
    ("path", "body", "param", "told"),
    [
        (SPEECH, {"model": "audio-tts", "input": "a", "voice": "nobody"}, "voice_id", "en_male_calm"),
        (SPEECH, {"model": "audio-tts", "input": "a", "response_format": "mp4"}, "response_format", "mp3"),
        (SPEECH, {"model": "audio-tts", "input": " "}, "text", "spoken"),
        (SPEECH, {"model": "audio-tts", "input": "a" * 10001}, "text", "10000"),
        (SPEECH, {"model": "audio-tts", "input": "a", "speed": 9}, "speed", "0.25"),
        (SPEECH, {"model": "audio-tts", "input": "a", "stream_format": "sse"}, "stream_format", "audio"),
        (SPEECH, {"model": "audio-asr", "input": "a"}, "model", HEARD),
        (SPEECH, {"model": "nano_banana", "input": "a"}, "model", "/v1/images/generations"),
        (HEARD, {"model": "audio-asr"}, "audio", "recording"),
        (HEARD, {"model": "audio-asr", "file": "data:audio/wav;base64,AAAA"}, "audio", "MP3"),
        (HEARD, {"model": "audio-asr", "file": "https://127.0.0.1/a.mp3"}, "audio", "audio"),
        (HEARD, {"model": "audio-asr", "file": "data:,", "response_format": "doc"}, "response_format", "srt"),
        ("/v1/audio/generations", {"model": "audio-clone", "text": "a"}, "audio", "recording"),
        ("/v1/audio/generations", {"intent": "text-to-image-fast", "text": "a"}, "intent", "text-to-speech"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_charged(alone, caller, path, body, param, told):
    answer = alone.call(path, body, caller.secret)
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request_error", param)
    assert told in answer.error["message"]
    assert alone.balance(caller).free == micro(1000)


def test_what_no_machine_can_do_alone_says_what_is_needed(alone, caller, said):
    audio = "data:audio/mpeg;base64," + base64.b64encode(said * 5).decode()
    answer = alone.call("/v1/audio/generations", {"model": "audio-clone", "text": "a", "audio": audio}, caller.secret)
    assert (answer.status, "FISH_API_KEY" in answer.error["message"]) == (400, True)


def test_a_key_that_is_sent_twice_is_paid_once(alone, caller):
    body = {"model": "audio-tts", "input": "Hello."}
    first, again = (alone.call(SPEECH, body, caller.secret, idempotency_key="k") for _ in range(2))
    assert first.body == again.body
    assert alone.balance(caller).free == micro(998)


def test_the_voices_are_listed(alone, caller):
    listed = alone.call("/v1/audio/voices", b"", caller.secret, method="GET").json["data"]
    assert {"voice_id": "en_male_calm", "language": "en", "gender": "male", "aliases": ["onyx", "cedar"]} in listed
