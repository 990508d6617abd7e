"""What a request for sound comes to."""

import pytest

from hypereal.catalog import MediaPrice, SoundAsked, SoundKind, SoundRules, Unit, Voice, requests_of, sound_order_of
from hypereal.kit.errors import InvalidRequest
from hypereal.kit.money import Micro

PRICE = MediaPrice(per=Unit.REQUEST, tiers={"any": Micro(7)}, version="v")
ADA = Voice(name="ada", language="en", gender="female", aliases=("alloy",), ids={"fish": "1"})
BOB = Voice(name="bob", language="en", gender="male")
SPEECH = SoundRules(
    kind=SoundKind.SPEECH, voices={"ada": ADA, "bob": BOB}, formats=("mp3", "wav"), text_chars_max=20_000
)
HEARD = SoundRules(kind=SoundKind.TRANSCRIPT, audio_s_min=1, audio_s_max=3000)


@pytest.mark.parametrize(
    ("seconds", "requests"), [(0, 1), (0.1, 1), (600, 1), (600.0004, 1), (600.001, 2), (1200, 2), (1200.5, 3)]
)
def test_each_ten_minutes_that_are_begun_are_one_request(seconds, requests):
    assert requests_of(seconds) == requests


def test_what_is_not_said_has_a_default():
    order = sound_order_of(SPEECH, PRICE, SoundAsked(text="a"))
    assert (order.voice, order.format, order.units, order.worst_case) == (ADA, "mp3", 1, 7)
    assert sound_order_of(SPEECH, PRICE, SoundAsked(text="a", voice="ALLOY", format="WAV")).voice is ADA


def test_long_and_slow_speech_is_held_dearer():
    assert sound_order_of(SPEECH, PRICE, SoundAsked(text="a" * 4801)).worst_case == 14
    assert sound_order_of(SPEECH, PRICE, SoundAsked(text="a" * 4800, speed=0.5)).worst_case == 14
    assert sound_order_of(SPEECH, PRICE, SoundAsked(text="a" * 4800, speed=4)).worst_case == 7


@pytest.mark.parametrize(
    ("rules", "asked", "field", "told"),
    [
        (SPEECH, SoundAsked(text=" "), "text", "spoken"),
        (SPEECH, SoundAsked(text="a" * 20_001), "text", "20000"),
        (SPEECH, SoundAsked(text="a", voice="eve"), "voice_id", "ada, bob"),
        (SPEECH, SoundAsked(text="a", format="ogg"), "response_format", "mp3, wav"),
        (SPEECH, SoundAsked(text="a", speed=float("nan")), "speed", "0.25"),
        (HEARD, SoundAsked(), "audio", "recording"),
        (HEARD, SoundAsked(has_audio=True, audio_s=0.5), "audio", "1 s or more"),
        (HEARD, SoundAsked(has_audio=True, audio_s=3001), "audio", "3000 s at most"),
    ],
)
def test_what_is_not_taken_is_refused_with_what_is(rules, asked, field, told):
    with pytest.raises(InvalidRequest, match=told) as refused:
        sound_order_of(rules, PRICE, asked)
    assert refused.value.param == field
