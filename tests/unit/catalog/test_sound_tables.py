"""The TOML form of what models of sound take."""

import msgspec
import pytest

from hypereal.catalog.sound_tables import SoundTable, sound_of

GOOD = {"kind": "speech", "text_chars_max": 9, "formats": ["mp3"]}
VOICE = {"language": "en", "gender": "male"}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({**GOOD, "formats": ["ogg"]}, "formats"),
        ({**GOOD, "formats": []}, "speech needs"),
        ({"kind": "transcript"}, "audio_s_max"),
        ({**GOOD, "kind": "clone"}, "audio_s_max"),
        ({**GOOD, "voices": {"Bad Name": VOICE}}, "no name"),
        ({**GOOD, "voices": {"a": VOICE, "b": {**VOICE, "aliases": ["a"]}}}, "two of it"),
        ({**GOOD, "voices": {"a": {**VOICE, "ids": {"nobody": "1"}}}}, "nobody"),
    ],
)
def test_what_cannot_be_is_refused(table, told):
    with pytest.raises(ValueError, match=told):
        sound_of(msgspec.convert(table, SoundTable), {"fish"})


def test_voices_keep_their_order():
    table = msgspec.convert({**GOOD, "voices": {"b": {**VOICE, "ids": {"fish": "1"}}, "a": VOICE}}, SoundTable)
    rules = sound_of(table, {"fish"})
    assert list(rules.voices) == ["b", "a"]
    assert rules.voices["b"].ids == {"fish": "1"}
