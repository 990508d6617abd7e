"""The TOML form of what a model of sound takes, and its checked translation into `SoundRules`."""

import re
from collections.abc import Collection
from typing import Annotated

import msgspec

from hypereal.catalog.sound import SoundKind, SoundRules, Voice

VOICES_MAX = 64
ALIASES_MAX = 16
FORMATS = ("mp3", "wav", "opus", "aac", "flac", "pcm")
SECONDS_MAX = 6 * 3600

_name = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII).fullmatch
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=SECONDS_MAX)]


class VoiceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One voice."""

    language: str
    gender: str
    aliases: Annotated[list[str], msgspec.Meta(max_length=ALIASES_MAX)] = []
    ids: Annotated[dict[str, str], msgspec.Meta(max_length=ALIASES_MAX)] = {}
    """Provider -> the vendor's id."""


class SoundTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sound` of a model."""

    kind: SoundKind
    voices: Annotated[dict[str, VoiceTable], msgspec.Meta(max_length=VOICES_MAX)] = {}
    formats: list[str] = []
    text_chars_max: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    audio_s_min: _Seconds = 0.0
    audio_s_max: _Seconds = 0.0
    assumed: bool = False


def sound_of(table: SoundTable, providers: Collection[str]) -> SoundRules:
    """The rules that TABLE writes down; voices may name only PROVIDERS. Raises ValueError that names the key."""
    if set(table.formats) - set(FORMATS):
        raise ValueError(f"sound.formats: there are {', '.join(FORMATS)}")
    if table.kind is not SoundKind.TRANSCRIPT and not (table.text_chars_max and table.formats):
        raise ValueError("sound: speech needs text_chars_max and formats")
    if table.kind is not SoundKind.SPEECH and not table.audio_s_max:
        raise ValueError(f"sound.audio_s_max: a {table.kind} needs it")
    names = [name for voice, one in table.voices.items() for name in (voice, *one.aliases)]
    for name in names:
        if not _name(name) or names.count(name) > 1:
            raise ValueError(f"sound.voices: {name!r} is no name, or there are two of it")
    unknown = {provider for one in table.voices.values() for provider in one.ids} - set(providers)
    if unknown:
        raise ValueError(f"sound.voices: there is no provider {min(unknown)!r}")
    voices = {
        name: Voice(name=name, language=one.language, gender=one.gender, aliases=tuple(one.aliases), ids=one.ids)
        for name, one in table.voices.items()
    }
    return SoundRules(
        kind=table.kind,
        voices=voices,
        formats=tuple(table.formats),
        text_chars_max=table.text_chars_max,
        audio_s_min=table.audio_s_min,
        audio_s_max=table.audio_s_max,
    )
