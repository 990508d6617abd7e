"""Google's Gemini images, Imagen and Veo, by the Gemini API. Sources: google-genai 3.4, its documentation of Veo."""

from typing import Any

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.driver import Driver, Route, Takes
from hypereal.providers.drivers.encoding import base64_of, bytes_of
from hypereal.providers.drivers.errors import Errors, fault, fault_of, kind_of
from hypereal.providers.drivers.outcome import (
    Answer,
    Failed,
    FaultKind,
    Finished,
    Outcome,
    Output,
    Running,
)
from hypereal.providers.drivers.replies import Direct, Outputs, Tasks, facts
from hypereal.providers.drivers.requests import Request, post, segment
from hypereal.providers.drivers.shapes import ratio, tier, tier_upper
from hypereal.providers.drivers.work import Kind, Media, Work
from hypereal.providers.provider import Auth

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
VIDEO_EXTRAS = frozenset({"negativePrompt", "negative_prompt", "personGeneration"})
POLL_S = 10.0
BLOCKED = frozenset(
    {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
"""Reasons to finish that are of the vendor's rules."""

_ERRORS = Errors(
    codes=("error.details[].violations[].quotaId", "error.details[].reason", "error.status", "error.code"),
    retry_after="error.details[].retryDelay",
    kinds={
        "*PerDay*": FaultKind.BALANCE,
        "API_KEY_INVALID": FaultKind.CREDENTIAL,
        "UNAUTHENTICATED": FaultKind.CREDENTIAL,
        "PERMISSION_DENIED": FaultKind.CREDENTIAL,
        "FAILED_PRECONDITION": FaultKind.BALANCE,
        "RESOURCE_EXHAUSTED": FaultKind.RATE,
        "INVALID_ARGUMENT": FaultKind.CALLER,
        "3": FaultKind.CALLER,
        "8": FaultKind.RATE,
    },
)


def _image(work: Work) -> Request:
    parts: list[dict[str, Any]] = [{"text": work.prompt}]
    parts += [{"inlineData": _inline(image, "mimeType", "data")} for image in work.references]
    config = {"aspectRatio": ratio(work, RATIOS), "imageSize": _image_size(work)}
    members = {
        "contents": [{"role": "user", "parts": parts}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {name: value for name, value in config.items() if value is not None},
            **({} if work.seed is None else {"seed": work.seed}),
        },
    }
    return post(f"/models/{segment(work.model)}:generateContent", members)


def _image_size(work: Work) -> str | None:
    """The 2.5 models make one size and take no other word."""
    tier = tier_upper(work)
    return None if tier is None or work.model.startswith("gemini-2.5") else {"0.5K": "512"}.get(tier, tier)


def _imagen(work: Work) -> Request:
    parameters = {
        "sampleCount": work.n,
        "aspectRatio": ratio(work, ("1:1", "3:4", "4:3", "9:16", "16:9")),
        "sampleImageSize": tier_upper(work),
        "personGeneration": work.extra.get("personGeneration"),
    }
    told = {name: value for name, value in parameters.items() if value is not None}
    return post(f"/models/{segment(work.model)}:predict", {"instances": [{"prompt": work.prompt}], "parameters": told})


def _video(work: Work) -> Request:
    instance: dict[str, Any] = {"prompt": work.prompt}
    if len(work.references) == 1:
        instance["image"] = _inline(work.references[0])
    elif work.references:
        instance["referenceImages"] = [{"image": _inline(one), "referenceType": "asset"} for one in work.references]
    if work.last_image is not None:
        instance["lastFrame"] = _inline(work.last_image)
    parameters = {
        "aspectRatio": ratio(work, ("16:9", "9:16")),
        "resolution": tier(work),
        "durationSeconds": work.duration_s,
        "negativePrompt": work.extra.get("negativePrompt") or work.extra.get("negative_prompt"),
        "personGeneration": work.extra.get("personGeneration"),
        "seed": work.seed,
    }
    told = {name: value for name, value in parameters.items() if value is not None}
    return post(f"/models/{segment(work.model)}:predictLongRunning", {"instances": [instance], "parameters": told})


def _inline(image: Media, type_name: str = "mimeType", body_name: str = "bytesBase64Encoded") -> dict[str, str]:
    return {type_name: image.content_type, body_name: base64_of(image.body)}


def _drawn(answer: Answer, said: Any) -> Finished | Failed:
    """Images of :generateContent; a thinking model's drafts are none."""
    parts = [part for part in paths.every(said, "candidates[].content.parts[]") if not paths.first(part, "thought")]
    outputs = [
        Output(body=body, content_type=paths.text(part, "inlineData.mimeType"))
        for part in parts
        if (body := bytes_of(paths.text(part, "inlineData.data"))) is not None
    ]
    if outputs:
        tokens = paths.number(said, "usageMetadata.totalTokenCount")
        return Finished(outputs=tuple(outputs), facts=facts({"tokens": tokens}))
    finish = paths.text(said, "candidates[].finishReason")
    blocked = paths.text(said, "promptFeedback.blockReason") or (finish if finish in BLOCKED else "")
    if blocked:
        return Failed(fault=fault(FaultKind.MODERATED, paths.text(said, "candidates[].finishMessage"), blocked))
    return Failed(fault=fault(FaultKind.VENDOR, f"no image: {paths.text(*_words(said))}", finish))


def _words(said: Any) -> tuple[Any, str]:
    return said, "candidates[].content.parts[].text"


_VEO = Outputs(
    items=("response.generateVideoResponse.generatedSamples[]",),
    url="video.uri",
    needs_credential=True,
    type="video/mp4",
    lifetime_s=2 * 86_400,
    blocked=(
        "response.generateVideoResponse.raiMediaFilteredReasons[]",
        "response.generateVideoResponse.raiMediaFilteredCount",
    ),
)


def _operation(answer: Answer, said: Any) -> Outcome | None:
    """A long-running operation: it has no state but `done`, which is left out while it is not."""
    if answer.status >= 300 or "name" not in said:
        return None
    if paths.first(said, "done") is not True:
        return Running(is_queued=False, poll_after_s=POLL_S)
    if "error" not in said:
        return _VEO.read(_ERRORS, answer, said)
    told = fault_of(_ERRORS, answer, said)
    is_told = kind_of(_ERRORS.kinds, told.code) is not None
    return Failed(fault=told if is_told else fault(FaultKind.VENDOR, told.detail, told.code))


DRIVER = Driver(
    name="google",
    auth=Auth.X_GOOG_API_KEY,
    hosts=("generativelanguage.googleapis.com",),
    routes=(
        Route(
            name="imagen",
            kinds=frozenset({Kind.IMAGE}),
            models=("imagen",),
            build=_imagen,
            is_batch=True,
            extras=frozenset({"personGeneration"}),
            reply=Direct(
                outputs=Outputs(
                    items=("predictions[]",),
                    base64="bytesBase64Encoded",
                    content_type="mimeType",
                    blocked=("predictions[].raiFilteredReason",),
                )
            ),
        ),
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT}),
            models=("gemini",),
            build=_image,
            takes=Takes.BODY,
            reply=Direct(read=_drawn),
        ),
        Route(
            name="veo",
            kinds=frozenset({Kind.VIDEO}),
            models=("veo",),
            build=_video,
            takes=Takes.BODY,
            extras=VIDEO_EXTRAS,
            reply=Tasks(
                id=("name",),
                poll="/{+id}",
                state=("",),
                states={},
                outputs=_VEO,
                read=_operation,
                first_poll_s=POLL_S,
                poll_s=POLL_S,
            ),
        ),
    ),
    errors=_ERRORS,
)
