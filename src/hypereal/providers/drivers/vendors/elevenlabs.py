"""ElevenLabs: speech and transcripts. Source: elevenlabs 2.78."""

from typing import Any

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.driver import Driver, Route, Takes
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.forms import file_part, form_fields
from hypereal.providers.drivers.outcome import Answer, FaultKind, Finished, Segment
from hypereal.providers.drivers.replies import Direct
from hypereal.providers.drivers.requests import Request, post, post_form, segment
from hypereal.providers.drivers.transcripts import SEGMENTS_MAX, transcript
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

SPEECH_EXTRAS = frozenset({"voice_settings", "previous_text", "next_text", "apply_text_normalization"})
TRANSCRIPT_EXTRAS = frozenset({"diarize", "num_speakers", "tag_audio_events"})
SEGMENT_S_MAX = 15.0
_FORMATS = {"mp3": "mp3_44100_128", "wav": "wav_44100", "pcm": "pcm_24000", "opus": "opus_48000_128"}


def _speech(work: Work) -> Request:
    if not work.voice:
        raise ValueError("voice: this model needs one.")
    wanted = work.format or "mp3"
    if wanted not in _FORMATS:
        raise ValueError(f"response_format: this model makes {', '.join(_FORMATS)}.")
    members = {"text": work.text, "model_id": work.model, "language_code": work.language, "seed": work.seed}
    path = f"/v1/text-to-speech/{segment(work.voice)}/stream?output_format={_FORMATS[wanted]}"
    return post(path, members, extra=work.extra)


def _transcript(work: Work) -> Request:
    if work.audio is None:
        raise ValueError("audio: a transcript needs it.")
    fields = {**work.extra, "model_id": work.model, "language_code": work.language, "timestamps_granularity": "word"}
    return post_form("/v1/speech-to-text", [*form_fields(fields), ("file", file_part(work.audio, "audio"))])


def _heard(answer: Answer, said: Any) -> Finished | None:
    segments = _segments(paths.first(said, "words"))
    told_s = paths.number(said, "audio_duration_secs")
    return transcript(said, segments, told_s or (segments[-1].end_s if segments else None))


def _segments(told: Any) -> tuple[Segment, ...]:
    """The vendor tells single words: they are put together up to the end of a sentence, another speaker, or some
    seconds."""
    words = told if isinstance(told, list) else []
    found: list[Segment] = []
    is_open = False
    for word in words[:SEGMENTS_MAX]:
        start, end, text = paths.number(word, "start"), paths.number(word, "end"), paths.first(word, "text")
        if start is None or end is None or not isinstance(text, str):
            continue
        speaker = paths.text(word, "speaker_id") or None
        last = found[-1] if found and is_open else None
        if last is not None and last.speaker == speaker and end - last.start_s <= SEGMENT_S_MAX:
            found[-1] = Segment(start_s=last.start_s, end_s=end, text=last.text + text, speaker=speaker)
        elif text.strip():
            found.append(Segment(start_s=start, end_s=end, text=text, speaker=speaker))
            is_open = True
        if text.strip().endswith((".", "!", "?", "。", "!", "?")):
            is_open = False
    return tuple(found)


DRIVER = Driver(
    name="elevenlabs",
    auth=Auth.XI_API_KEY,
    routes=(
        Route(
            name="speech",
            kinds=frozenset({Kind.SPEECH}),
            build=_speech,
            reply=Direct(is_body=True),
            extras=SPEECH_EXTRAS,
        ),
        Route(
            name="transcript",
            kinds=frozenset({Kind.TRANSCRIPT}),
            build=_transcript,
            reply=Direct(read=_heard),
            takes=Takes.BODY,
            extras=TRANSCRIPT_EXTRAS,
        ),
    ),
    errors=Errors(
        codes=("detail.status",),
        messages=("detail.message", "detail"),
        kinds={
            "invalid_api_key": FaultKind.CREDENTIAL,
            "missing_permissions": FaultKind.CREDENTIAL,
            "quota_exceeded": FaultKind.BALANCE,
            "too_many_concurrent_requests": FaultKind.RATE,
            "system_busy": FaultKind.RATE,
            "voice_not_found": FaultKind.CALLER,
        },
    ),
)
