"""What callers write who want speech or transcripts, in the shapes that clients send it."""

import json

import pytest

from hypereal.catalog import SoundKind
from hypereal.gateway.media.asking_sound import read_sound_wish
from hypereal.kit.errors import InvalidRequest

URL = "https://a/1.mp3"


def wish(**body):
    return read_sound_wish(json.dumps({"model": "m", **body}).encode())


@pytest.mark.parametrize("body", [{"text": "hi"}, {"input": "hi"}, {"input": {"text": "hi"}}])
def test_a_text_is_found_by_any_of_its_names(body):
    assert wish(**body).text == "hi"


@pytest.mark.parametrize(
    "body", [{"voice_id": "v"}, {"voice": "v"}, {"voice": {"id": "v"}}, {"input": {"voiceId": "v"}}]
)
def test_a_voice_is_found_by_any_of_its_names(body):
    assert wish(**body).voice == "v"


@pytest.mark.parametrize(
    "body", [{"audio": URL}, {"audio": [URL]}, {"audio_url": {"url": URL}}, {"file": URL}, {"input": {"audio": URL}}]
)
def test_a_recording_is_found_by_any_of_its_names(body):
    assert wish(**body).audio == URL


def test_a_format_is_of_what_is_made_or_of_how_it_is_written_down():
    assert wish(text="a", response_format="wav").format == "wav"
    assert wish(text="a", response_format="url").format is None
    raw = json.dumps({"file": URL, "response_format": "srt"}).encode()
    read = read_sound_wish(raw, frozenset({SoundKind.TRANSCRIPT}))
    assert (read.format, read.answer_format) == (None, "srt")


def test_what_else_is_written_is_kept_for_the_vendor():
    assert wish(text="a", instructions="softly", speed="1.5").extra == {"instructions": "softly", "speed": "1.5"}
    assert wish(file=URL, prompt="names").extra == {"prompt": "names"}
    assert wish(text="a", speed="1.5").speed == 1.5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": 5}, "text"),
        ({"audio": "ftp://a"}, "audio"),
        ({"audio": [URL, URL]}, "audio"),
        ({"speed": "fast"}, "speed"),
        ({"stream": True}, "stream"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"stream_format": "sse"}, "stream_format"),
    ],
)
def test_what_cannot_be_read_is_named(body, field):
    with pytest.raises(InvalidRequest) as refused:
        wish(**body)
    assert refused.value.param == field
