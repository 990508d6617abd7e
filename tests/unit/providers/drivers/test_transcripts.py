"""What was heard, as vendors tell it."""

import pytest

from hypereal.providers.drivers import DRIVERS, Answer, Failed, Finished, Kind, Media, Segment, Unclear, Work
from hypereal.providers.drivers.transcripts import read_segments, transcript

SOUND = Media(body=b"x", content_type="audio/mpeg")


def heard(vendor: str, body: bytes) -> Finished | Failed | Unclear:
    work = Work(kind=Kind.TRANSCRIPT, model="whisper-1", audio=SOUND)
    outcome = DRIVERS[vendor].read_submit(work, Answer(status=200, headers={}, body=body, url="http://v"))
    assert isinstance(outcome, Finished | Failed | Unclear)
    return outcome


def test_silence_has_a_text_and_an_answer_without_one_is_noise() -> None:
    silent = transcript({"text": ""}, (), None)
    assert silent is not None
    assert silent.outputs[0].text == ""
    assert transcript({"text": None}, (), None) is None
    assert transcript({}, (), None) is None


@pytest.mark.parametrize("vendor", ["openai", "fish", "elevenlabs"])
def test_an_answer_without_text_is_never_a_transcript(vendor: str) -> None:
    assert isinstance(heard(vendor, b"{}"), Unclear)
    assert isinstance(heard(vendor, b'{"text": 5}'), Unclear)
    assert isinstance(heard(vendor, b'{"text": ""}'), Finished)


def test_what_is_no_segment_is_left_out() -> None:
    told = [
        {"start": 0, "end": "1.5", "text": " a "},
        {"start": 0, "text": "b"},
        {"start": 1, "end": 2, "text": 5},
        None,
        "x",
    ]
    assert read_segments({"segments": told}) == (Segment(start_s=0.0, end_s=1.5, text="a"),)
    assert read_segments({"segments": "x"}) == ()
    assert read_segments([]) == ()


@pytest.mark.parametrize(("told", "wanted"), [(2.5, 2500), (9_000, 9_000_000), (12_000, 12_000)])
def test_fish_tells_seconds_or_milliseconds(told: float, wanted: int) -> None:
    outcome = heard("fish", b'{"text": "a", "duration": %s}' % str(told).encode())
    assert isinstance(outcome, Finished)
    assert outcome.facts.duration_ms == wanted


def test_words_become_sentences_and_speakers() -> None:
    words = [
        *(
            f'{{"text": "w{number}", "start": {number}, "end": {number + 1}, "speaker_id": "a"}}'
            for number in range(40)
        ),
        '{"text": "End.", "start": 40, "end": 41, "speaker_id": "a"}',
        '{"text": " ", "start": 41, "end": 41.1, "speaker_id": "a"}',
        '{"text": "Yes", "start": 41.1, "end": 42, "speaker_id": "b"}',
    ]
    outcome = heard("elevenlabs", f'{{"text": "x", "words": [{",".join(words)}]}}'.encode())
    assert isinstance(outcome, Finished)
    segments = outcome.outputs[0].segments
    assert max(one.end_s - one.start_s for one in segments) <= 15
    assert [one.speaker for one in segments][-2:] == ["a", "b"]
    assert segments[-1].text == "Yes"
    assert outcome.facts.duration_ms == 42_000
