"""Transcripts in the formats that callers ask for."""

import json

from hypereal.gateway.media.transcripts import FORMATS, Transcript, transcript_of
from hypereal.providers.drivers import Output, Segment

HEARD = transcript_of(
    Output(
        text="Hello. Bye.",
        segments=(
            Segment(start_s=0.0, end_s=1.5, text=" Hello. "),
            Segment(start_s=3661.25, end_s=3662.0, text="By-->e.\n\nNot a cue"),
        ),
        language="en",
    ),
    None,
)


def written(form: str, heard: Transcript = HEARD) -> str:
    return FORMATS[form][1](heard).decode()


def test_subtitles_have_times_and_one_line_a_cue():
    assert written("srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n2\n01:01:01,250 --> 01:01:02,000\nBy->e. Not a cue\n"
    )
    assert written("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello.\n\n01:01:01.250 --> ")


def test_json_says_what_was_heard_and_how_long_it_is():
    assert json.loads(written("json")) == {"text": "Hello. Bye.", "usage": {"seconds": 3662.0, "type": "duration"}}
    told = json.loads(written("verbose_json"))
    assert (told["task"], told["language"], told["duration"]) == ("transcribe", "en", 3662.0)
    assert told["segments"][0] == {"id": 0, "start": 0.0, "end": 1.5, "text": "Hello."}
    assert written("text") == "Hello. Bye.\n"


def test_a_vendor_that_tells_no_times_leaves_one_cue():
    heard = transcript_of(Output(text="Hi."), 2500)
    assert "00:00:00,000 --> 00:00:02,500\nHi." in written("srt", heard)
    assert written("srt", Transcript(text="")) == ""
