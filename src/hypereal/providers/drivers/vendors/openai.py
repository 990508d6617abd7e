"""OpenAI's images, videos, speech and transcriptions, and whoever speaks like it. Source: openai-python 3.54."""

from typing import Any

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.callbacks import Callback, Secret, standard
from hypereal.providers.drivers.driver import Driver, Route, Takes
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.forms import file_part, form_fields
from hypereal.providers.drivers.outcome import Answer, FaultKind, Finished
from hypereal.providers.drivers.replies import Direct, Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post, post_form
from hypereal.providers.drivers.shapes import ratio, size_text, tier
from hypereal.providers.drivers.transcripts import read_segments, transcript
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

IMAGE_EXTRAS = frozenset(
    {"background", "moderation", "output_compression", "input_fidelity", "style", "user", "safety_identifier"}
)
SPEECH_EXTRAS = frozenset({"instructions", "speed"})
TRANSCRIPT_EXTRAS = frozenset({"prompt", "temperature"})
_SIDES = {"1k": 1024, "2k": 2048, "4k": 4096}
_VIDEO_SIZES = {
    ("720p", "16:9"): "1280x720",
    ("720p", "9:16"): "720x1280",
    ("1080p", "16:9"): "1792x1024",
    ("1080p", "9:16"): "1024x1792",
}
WITH_SEGMENTS = "whisper-1"
"""The model that tells where in the sound it heard what."""


def _images(work: Work) -> Request:
    members = {
        "model": work.model,
        "prompt": work.prompt,
        "n": work.n,
        "size": _image_size(work),
        "quality": work.quality,
        "output_format": work.format,
    }
    return post("/images/generations", members, extra=work.extra)


def _image_size(work: Work) -> str | None:
    """The vendor takes pixels, no tier and no ratio; above 1K it draws squares."""
    if work.size is not None or (work.resolution is None and work.aspect_ratio is None):
        return size_text(work)
    side = _SIDES.get(tier(work) or "1k", 1024)
    width, _, height = (work.aspect_ratio or "1:1").partition(":")
    if side > 1024 or width == height:
        return f"{side}x{side}"
    return "1536x1024" if int(width) > int(height) else "1024x1536"


def _edits(work: Work) -> Request:
    fields = {**work.extra, "model": work.model, "prompt": work.prompt, "n": work.n}
    fields |= {"size": _image_size(work), "quality": work.quality, "output_format": work.format}
    files = [("image[]", file_part(image, f"image-{at}")) for at, image in enumerate(work.references, 1)]
    if work.mask is not None:
        files.append(("mask", file_part(work.mask, "mask")))
    return post_form("/images/edits", [*form_fields(fields), *files])


def _video(work: Work) -> Request:
    fields = {
        "model": work.model,
        "prompt": work.prompt,
        "seconds": None if work.duration_s is None else str(work.duration_s),
        "size": size_text(work) or _VIDEO_SIZES.get((tier(work) or "720p", ratio(work) or "16:9")),
    }
    if not work.references:
        return post("/videos", fields)
    files = [("input_reference", file_part(work.references[0], "reference"))]
    return post_form("/videos", [*form_fields(fields), *files])


def _speech(work: Work) -> Request:
    members = {"model": work.model, "input": work.text, "voice": work.voice, "response_format": work.format}
    return post("/audio/speech", members, extra=work.extra)


def _transcription(work: Work) -> Request:
    if work.audio is None:
        raise ValueError("audio: a transcript needs it.")
    answer = "verbose_json" if work.model.startswith(WITH_SEGMENTS) else "json"
    fields = {**work.extra, "model": work.model, "language": work.language, "response_format": answer}
    return post_form("/audio/transcriptions", [*form_fields(fields), ("file", file_part(work.audio, "audio"))])


def _heard(answer: Answer, said: Any) -> Finished | None:
    return transcript(said, read_segments(said), paths.number(said, "duration", "usage.seconds"))


_IMAGES = Direct(
    outputs=Outputs(
        items=("data[]",),
        url="url",
        base64="b64_json",
        revised_prompt="revised_prompt",
        lifetime_s=3600,
        facts={"tokens": ("usage.total_tokens",)},
    )
)

DRIVER = Driver(
    name="openai",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE}),
            build=_images,
            reply=_IMAGES,
            extras=IMAGE_EXTRAS,
            is_batch=True,
        ),
        Route(
            name="edit",
            kinds=frozenset({Kind.IMAGE_EDIT}),
            build=_edits,
            reply=_IMAGES,
            takes=Takes.BODY,
            extras=IMAGE_EXTRAS,
            is_batch=True,
        ),
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_video,
            takes=Takes.BODY,
            forgets=True,
            reply=Tasks(
                id=("id",),
                poll="/videos/{id}",
                cancel="DELETE /videos/{id}",
                state=("status",),
                states={
                    "queued": State.QUEUED,
                    "in_progress": State.RUNNING,
                    "completed": State.DONE,
                    "failed": State.FAILED,
                },
                progress=("progress",),
                outputs=Outputs(
                    items=("",),
                    url="id",
                    place="/videos/{id}/content",
                    needs_credential=True,
                    type="video/mp4",
                    lifetime_s=3600,
                    facts={"duration_ms": ("seconds",)},
                ),
                first_poll_s=10.0,
            ),
        ),
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
            build=_transcription,
            reply=Direct(read=_heard),
            takes=Takes.BODY,
            extras=TRANSCRIPT_EXTRAS,
        ),
    ),
    errors=Errors(
        codes=("error.code", "error.type"),
        kinds={
            "moderation_blocked": FaultKind.MODERATED,
            "content_policy_violation": FaultKind.MODERATED,
            "insufficient_quota": FaultKind.BALANCE,
            "billing_hard_limit_reached": FaultKind.BALANCE,
            "rate_limit_exceeded": FaultKind.RATE,
            "invalid_api_key": FaultKind.CREDENTIAL,
            "server_error": FaultKind.VENDOR,
        },
    ),
    callback=Callback(
        task_id=("data.id",), secret=Secret.ACCOUNT, signature="Standard Webhooks; 300 s", verify=standard
    ),
)
