"""Transcripts: as they are stored, and in the formats that callers ask for."""

from collections.abc import Callable, Mapping

import msgspec

from hypereal.providers.drivers import Output, Segment

CONTENT_TYPE = "application/json"


class ToldSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a transcript. Times are seconds."""

    id: int
    start: float
    end: float
    text: str
    speaker: str | None = None


class Transcript(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was heard; what stands in the file that a job gives."""

    text: str
    segments: tuple[ToldSegment, ...] = ()
    language: str | None = None
    duration: float | None = None
    """Seconds."""


def transcript_of(output: Output, duration_ms: int | None) -> Transcript:
    """What a vendor gave."""
    ends = [segment.end_s for segment in output.segments]
    seconds = duration_ms / 1000 if duration_ms is not None else max(ends, default=None)
    return Transcript(
        text=output.text,
        segments=tuple(_told(number, one) for number, one in enumerate(output.segments)),
        language=output.language,
        duration=seconds,
    )


def _told(number: int, segment: Segment) -> ToldSegment:
    return ToldSegment(
        id=number,
        start=round(segment.start_s, 3),
        end=round(segment.end_s, 3),
        text=segment.text.strip(),
        speaker=segment.speaker,
    )


class _Usage(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    type: str = "duration"


class _Plain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    text: str
    usage: _Usage | None = None


class _Verbose(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    language: str
    duration: float
    segments: tuple[ToldSegment, ...]
    usage: _Usage | None
    task: str = "transcribe"


def _json(heard: Transcript) -> bytes:
    return msgspec.json.encode(_Plain(text=heard.text, usage=_usage(heard)))


def _verbose(heard: Transcript) -> bytes:
    return msgspec.json.encode(
        _Verbose(
            text=heard.text,
            language=heard.language or "",
            duration=heard.duration or 0.0,
            segments=heard.segments,
            usage=_usage(heard),
        )
    )


def _usage(heard: Transcript) -> _Usage | None:
    return None if heard.duration is None else _Usage(seconds=heard.duration)


def _text(heard: Transcript) -> bytes:
    return f"{heard.text}\n".encode()


def _srt(heard: Transcript) -> bytes:
    cues = (
        f"{number}\n{_time(one.start, ',')} --> {_time(one.end, ',')}\n{_line(one.text)}\n"
        for number, one in enumerate(_cues(heard), 1)
    )
    return "\n".join(cues).encode()


def _vtt(heard: Transcript) -> bytes:
    cues = (f"\n{_time(one.start, '.')} --> {_time(one.end, '.')}\n{_line(one.text)}\n" for one in _cues(heard))
    return ("WEBVTT\n" + "".join(cues)).encode()


def _cues(heard: Transcript) -> tuple[ToldSegment, ...]:
    """A vendor that tells no times leaves one cue for all of it."""
    whole = ToldSegment(id=0, start=0.0, end=heard.duration or 0.0, text=heard.text)
    return heard.segments or ((whole,) if heard.text else ())


def _line(text: str) -> str:
    """A cue ends at an empty line, and has no arrow in it."""
    return " ".join(text.replace("-->", "->").split())


def _time(seconds: float, point: str) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{ms:03}"


FORMATS: Mapping[str, tuple[str, Callable[[Transcript], bytes]]] = {
    "json": ("application/json", _json),
    "text": ("text/plain; charset=utf-8", _text),
    "srt": ("application/x-subrip; charset=utf-8", _srt),
    "verbose_json": ("application/json", _verbose),
    "vtt": ("text/vtt; charset=utf-8", _vtt),
}
"""`response_format` -> content type, and what is written."""
