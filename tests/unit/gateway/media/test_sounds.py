"""Recordings of every kind: how long they last, and what is none."""

import io
import wave

import pytest

from hypereal.gateway.media import sounds


def wav(seconds: float) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(22_050)
        written.writeframes(bytes(2) * round(seconds * 22_050))
    return target.getvalue()


@pytest.mark.parametrize("form", list(sounds.TYPES))
def test_what_is_written_in_a_format_lasts_as_long(form):
    body = sounds.encoded(wav(2.5), form)
    assert sounds.seconds_of(body, sounds.TYPES[form]) == pytest.approx(2.5, abs=0.1)


def test_a_head_that_lies_is_not_believed():
    body = bytearray(wav(3.0))
    body[24:28] = (22_050).to_bytes(4, "little")
    body[40:44] = (1000).to_bytes(4, "little")
    assert sounds.seconds_of(bytes(body[:44] + body[44:]), "audio/wav") <= 3.0
    with_more = sounds.encoded(wav(1.0), "mp3") + sounds.encoded(wav(4.0), "mp3")
    assert sounds.seconds_of(with_more, "audio/mpeg") > 4.5


@pytest.mark.parametrize("content_type", [*sounds.READERS, "text/plain", ""])
@pytest.mark.parametrize("body", [b"", b"#EXTM3U\nfile:///etc/passwd\n", b"ID3\x04\0\0\0\0\0\0#EXTM3U\nx\n", b"RIFF"])
def test_what_is_no_recording_is_refused(body, content_type):
    with pytest.raises(sounds.BadRecording):
        sounds.seconds_of(body, content_type)


def test_samples_are_of_one_channel_at_the_rate_asked_for():
    samples = sounds.samples_of(wav(1.0), "audio/wav", 16_000)
    assert len(samples) == pytest.approx(16_000, abs=200)
