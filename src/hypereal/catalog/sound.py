"""What a model of sound takes, as data; and what a request for it comes to, with its price.

Priced by the request: one up to ten minutes of audio, then one more for each ten that are begun (contract 3.5).
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NoReturn

import msgspec

from hypereal.catalog.media import ANY, MediaOrder, MediaPrice
from hypereal.kit.errors import InvalidRequest

UNIT_S = 600.0
"""What one request pays for."""
BYTES_PER_S = 8.0
"""Of text in UTF-8, slowly spoken: how long what is made of a text may be. It is paid by how long it then is."""
SPEED_MIN, SPEED_MAX = 0.25, 4.0


class SoundKind(StrEnum):
    """What a model of sound does."""

    SPEECH = "speech"
    CLONE = "clone"
    """Speech in the voice of a recording."""
    TRANSCRIPT = "transcript"


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice, by a name that is the same at every vendor."""

    name: str
    language: str
    gender: str
    aliases: tuple[str, ...] = ()
    ids: Mapping[str, str] = {}
    """Provider -> its id there. A provider that is not here does not have it."""


class SoundRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one model takes."""

    kind: SoundKind
    voices: Mapping[str, Voice] = {}
    """By name; the first is the default. Empty: it is asked for none."""
    formats: tuple[str, ...] = ()
    """Of what it makes; the first is the default."""
    text_chars_max: int = 0
    audio_s_min: float = 0.0
    audio_s_max: float = 0.0
    """Of a recording that it is given."""

    def voice(self, name: str) -> Voice | None:
        """The voice of this name or alias, in any case."""
        wanted = name.lower()
        found = (voice for voice in self.voices.values() if wanted in (voice.name, *voice.aliases))
        return next(found, None)


class SoundAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of a model, as far as rules are about it."""

    text: str = ""
    voice: str | None = None
    format: str | None = None
    speed: float = 1.0
    has_audio: bool = False
    audio_s: float | None = None
    """How long the recording is, once that is known."""


class SoundOrder(MediaOrder, frozen=True, kw_only=True):
    """What is made for a request, and what it may cost."""

    requests: int
    """Tens of minutes, begun ones included."""
    voice: Voice | None
    format: str | None

    @property
    def units(self) -> int:
        """What is held."""
        return self.requests


def requests_of(seconds: float) -> int:
    """What SECONDS of audio are paid as."""
    return max(1, math.ceil(round(seconds, 3) / UNIT_S))


def sound_order_of(rules: SoundRules, price: MediaPrice, asked: SoundAsked) -> SoundOrder:
    """What ASKED comes to. Raises InvalidRequest that names the field and lists what is allowed."""
    if rules.kind is SoundKind.TRANSCRIPT:
        _check_audio(rules, asked)
        seconds = asked.audio_s or 0.0
    else:
        _check_text(rules, asked)
        if rules.kind is SoundKind.CLONE:
            _check_audio(rules, asked)
        seconds = len(asked.text.encode()) / BYTES_PER_S / min(1.0, asked.speed)
    return SoundOrder(
        n=1,
        size=None,
        aspect_ratio=None,
        resolution=None,
        duration_s=None,
        tier=ANY,
        unit_price=price.tiers[ANY],
        per=price.per,
        price_version=price.version,
        requests=requests_of(seconds),
        voice=_voice(rules, asked.voice),
        format=_format(rules, asked.format),
    )


def _check_text(rules: SoundRules, asked: SoundAsked) -> None:
    if not asked.text.strip():
        raise InvalidRequest("text: say what is to be spoken.", param="text")
    if len(asked.text) > rules.text_chars_max:
        raise InvalidRequest(f"text: at most {rules.text_chars_max} characters.", param="text")
    if not SPEED_MIN <= asked.speed <= SPEED_MAX:
        raise InvalidRequest(f"speed: from {SPEED_MIN} to {SPEED_MAX}.", param="speed")


def _check_audio(rules: SoundRules, asked: SoundAsked) -> None:
    if not asked.has_audio:
        raise InvalidRequest("audio: give a recording, by its URL or as a data URL.", param="audio")
    if asked.audio_s is None:
        return
    if asked.audio_s < rules.audio_s_min:
        raise InvalidRequest(
            f"audio: {asked.audio_s:.1f} s long; this model needs {rules.audio_s_min:g} s or more.", param="audio"
        )
    if asked.audio_s > rules.audio_s_max:
        raise InvalidRequest(
            f"audio: {asked.audio_s:.0f} s long; this model takes {rules.audio_s_max:g} s at most.", param="audio"
        )


def _voice(rules: SoundRules, given: str | None) -> Voice | None:
    if not rules.voices:
        return None
    if given is None:
        return next(iter(rules.voices.values()))
    found = rules.voice(given)
    if found is None:
        _refuse("voice_id", given, list(rules.voices))
    return found


def _format(rules: SoundRules, given: str | None) -> str | None:
    if not rules.formats:
        return None
    if given is None:
        return rules.formats[0]
    if given.lower() not in rules.formats:
        _refuse("response_format", given, rules.formats)
    return given.lower()


def _refuse(field: str, given: str, allowed: Sequence[str]) -> NoReturn:
    raise InvalidRequest(
        f"{field}: this model does not take '{given[:100]}'. It takes {', '.join(allowed)}.",
        param=field,
        details={"allowed": list(allowed)},
    )
