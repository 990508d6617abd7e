"""Fish Audio: speech, clones of voices, transcripts. Sources: the vendor's OpenAPI (2026-08), fish-audio-sdk 1.3."""

from typing import Any

import msgspec

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.driver import Driver, Route, Takes
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.forms import file_part, form_fields
from hypereal.providers.drivers.outcome import Answer, Finished
from hypereal.providers.drivers.replies import Direct
from hypereal.providers.drivers.requests import Request, post, post_form
from hypereal.providers.drivers.transcripts import read_segments, transcript
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset(
    {"latency", "chunk_length", "normalize", "temperature", "top_p", "repetition_penalty", "prosody"}
    | {"sample_rate", "mp3_bitrate", "opus_bitrate", "condition_on_previous_chunks", "reference_text"}
)
FORMATS = (None, "mp3", "wav", "pcm", "opus")
SECONDS_MAX = 10_000
"""The vendor's two descriptions of `duration` differ: what is above this is milliseconds."""


def _speech(work: Work) -> Request:
    return post("/v1/tts", _members(work), {"model": work.model})


def _clone(work: Work) -> Request:
    """With a recording it is MessagePack, which has bytes."""
    if work.audio is None:
        raise ValueError("audio: a clone needs a recording of the voice.")
    references = [{"audio": work.audio.body, "text": str(work.extra.get("reference_text", ""))}]
    body = msgspec.msgpack.encode(_members(work) | {"references": references})
    headers = {"content-type": "application/msgpack", "model": work.model}
    return Request(method="POST", url="/v1/tts", headers=headers, body=body)


def _members(work: Work) -> dict[str, Any]:
    if work.format not in FORMATS:
        raise ValueError(f"response_format: this model makes {', '.join(filter(None, FORMATS))}.")
    members = {**work.extra, "text": work.text, "reference_id": work.voice, "format": work.format}
    return {name: value for name, value in members.items() if value is not None and name != "reference_text"}


def _transcript(work: Work) -> Request:
    if work.audio is None:
        raise ValueError("audio: a transcript needs it.")
    fields = form_fields({"language": work.language, "ignore_timestamps": "false"})
    return post_form("/v1/asr", [("audio", file_part(work.audio, "audio")), *fields])


def _heard(answer: Answer, said: Any) -> Finished | None:
    duration_s = paths.number(said, "duration")
    is_long = duration_s is not None and duration_s > SECONDS_MAX
    return transcript(said, read_segments(said), duration_s / 1000 if duration_s and is_long else duration_s)


DRIVER = Driver(
    name="fish",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="speech",
            kinds=frozenset({Kind.SPEECH}),
            build=_speech,
            reply=Direct(is_body=True),
            extras=EXTRAS,
        ),
        Route(
            name="clone",
            kinds=frozenset({Kind.CLONE}),
            build=_clone,
            reply=Direct(is_body=True),
            takes=Takes.BODY,
            extras=EXTRAS,
        ),
        Route(
            name="transcript",
            kinds=frozenset({Kind.TRANSCRIPT}),
            build=_transcript,
            reply=Direct(read=_heard),
            takes=Takes.BODY,
        ),
    ),
    errors=Errors(codes=("reason",), messages=("message",)),
)
