"""What callers write who want speech or a transcript, in every shape that clients send it, as a `Wish`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.catalog import SoundKind
from hypereal.gateway.media.asking import Fields, Wish, decoded, flat, text_of, url_of, wish_of
from hypereal.kit.errors import InvalidRequest

_TEXTS = ("text", "input")
_VOICES = ("voice_id", "voice", "voiceId", "reference_id")
_AUDIOS = ("audio", "audio_url", "audioUrl", "file")
_FORMATS = ("response_format", "format", "output_format")
_KNOWN = frozenset({*_TEXTS, *_VOICES, *_AUDIOS, *_FORMATS, "language", "stream_format", "timestamp_granularities"})
LANGUAGE_CHARS_MAX = 20
TEXT_CHARS_MAX = 200_000


def read_sound_wish(raw: bytes, sounds: frozenset[SoundKind] = frozenset()) -> Wish:
    """RAW, a JSON body, as a wish for one of SOUNDS, empty for any. Raises InvalidRequest that names the field."""
    return sound_wish_of(decoded(raw), raw, sounds)


def sound_wish_of(given: Fields, body: bytes, sounds: frozenset[SoundKind] = frozenset()) -> Wish:
    """GIVEN as a wish. Raises InvalidRequest that names the field."""
    fields = flat(_named(given))
    _refuse_streams(fields)
    plain = wish_of({name: value for name, value in fields.items() if name not in _KNOWN}, body)
    wanted = _first_text(fields, _FORMATS, 20)
    return msgspec.structs.replace(
        plain,
        sounds=sounds,
        text=_first_text(fields, _TEXTS, TEXT_CHARS_MAX) or "",
        voice=_voice(fields),
        audio=_audio(fields),
        language=text_of(fields, "language", LANGUAGE_CHARS_MAX),
        speed=_speed(fields.get("speed")),
        format=None if wanted == "url" or sounds == {SoundKind.TRANSCRIPT} else wanted,
        answer_format=wanted,
        extra={**plain.extra, **_hint(fields)},
    )


def _named(given: Fields) -> Fields:
    """OpenAI's `input` is the text itself, where ours is an object."""
    text = given.get("input")
    return {"text": text, **{name: one for name, one in given.items() if name != "input"}} if _is_text(text) else given


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _refuse_streams(fields: Fields) -> None:
    if fields.get("stream_format") not in (None, "audio"):
        raise InvalidRequest("stream_format: audio only; its bytes come as they are made.", param="stream_format")
    if fields.get("stream") not in (None, False, "false"):
        raise InvalidRequest("stream: a transcript comes whole, when it is done.", param="stream")
    granularities = fields.get("timestamp_granularities")
    for one in granularities if isinstance(granularities, list) else [granularities]:
        if one not in (None, "segment"):
            raise InvalidRequest("timestamp_granularities: segment only.", param="timestamp_granularities")


def _first_text(fields: Fields, names: tuple[str, ...], chars_max: int) -> str | None:
    return next((text for name in names if (text := text_of(fields, name, chars_max)) is not None), None)


def _voice(fields: Fields) -> str | None:
    """A name, or as OpenAI's clients wrap it: `{"id": …}`."""
    wrapped = fields.get("voice")
    if isinstance(wrapped, Mapping):
        fields = {**fields, "voice": wrapped.get("id")}
    return _first_text(fields, _VOICES, 100)


def _audio(fields: Fields) -> str | None:
    for name in _AUDIOS:
        value = fields.get(name)
        if isinstance(value, list):
            if len(value) > 1:
                raise InvalidRequest(f"{name}: one recording at a time.", param=name)
            value = value[0] if value else None
        if (url := url_of(value, name)) is not None:
            return url
    return None


def _speed(value: Any) -> float:
    if value is None:
        return 1.0
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidRequest("speed: give a number.", param="speed") from None


def _hint(fields: Fields) -> dict[str, Any]:
    """The `prompt` of a transcript is a hint for whoever listens."""
    hint = text_of(fields, "prompt", TEXT_CHARS_MAX)
    return {} if hint is None else {"prompt": hint}
