"""Alibaba's Wan videos at DashScope. Sources: dashscope 2.0.2, the vendor's API reference."""

from collections.abc import Mapping
from typing import Any

from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind
from hypereal.providers.drivers.replies import Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post
from hypereal.providers.drivers.shapes import ratio, size_text, tier_upper
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset({"prompt_extend", "watermark", "shot_type", "audio", "template"})
_PATH = "/services/aigc/video-generation/video-synthesis"
_FRAMES_PATH = "/services/aigc/image2video/video-synthesis"
_SIZES = {
    ("720P", "16:9"): "1280*720",
    ("720P", "9:16"): "720*1280",
    ("1080P", "16:9"): "1920*1080",
    ("1080P", "9:16"): "1080*1920",
}


def _build(work: Work) -> Request:
    model = _model(work)
    parameters = {**_frame(work, model), "duration": work.duration_s, "seed": work.seed}
    told = {name: value for name, value in parameters.items() if value is not None}
    members = {
        "model": model,
        "input": {name: value for name, value in _input(work, model).items() if value is not None},
        "parameters": {"watermark": False, **_without_prompt(work.extra), **told},
    }
    return post(_FRAMES_PATH if "-kf2v" in model else _PATH, members, {"x-dashscope-async": "enable"})


def _without_prompt(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name != "negative_prompt"}


def _model(work: Work) -> str:
    """The vendor has one model from text and its sisters from images: which it is, the request says."""
    images = len(work.references)
    if work.model.endswith("-t2v") and images:
        return f"{work.model.removesuffix('-t2v')}-{'i2v' if images == 1 else 'r2v'}"
    if "-i2v" in work.model and images != 1:
        raise ValueError(f"image_url: '{work.model}' needs one image to begin from.")
    return work.model


def _input(work: Work, model: str) -> dict[str, Any]:
    images = [image.as_url for image in work.references]
    last = None if work.last_image is None else work.last_image.as_url
    members: dict[str, Any] = {
        "prompt": work.prompt or None,
        "negative_prompt": work.extra.get("negative_prompt"),
        "audio_url": None if work.audio is None else work.audio.as_url,
    }
    if model.startswith("wan2.7"):
        role = "first_frame" if len(images) == 1 else "reference_image"
        media = [{"type": role, "url": url} for url in images]
        media += [] if last is None else [{"type": "last_frame", "url": last}]
        return members | {"media": media or None}
    if "-kf2v" in model:
        return members | {"first_frame_url": images[0] if images else None, "last_frame_url": last}
    if last is not None:
        raise ValueError(f"last_image_url: '{work.model}' does not take one.")
    if "-r2v" in model:
        return members | {"reference_urls": images}
    return members | {"img_url": images[0] if images else None}


def _frame(work: Work, model: str) -> dict[str, Any]:
    """Pixels where a video is made of text, the resolution where an image gives its shape."""
    if model.startswith("wan2.7"):
        return {"resolution": tier_upper(work), "ratio": ratio(work)}
    if "i2v" in model or "-kf2v" in model:
        return {"resolution": tier_upper(work)}
    asked = (tier_upper(work) or "720P", ratio(work, ("16:9", "9:16")) or "16:9")
    if work.size is None and work.resolution is None and work.aspect_ratio is None:
        return {}
    size = size_text(work, "*") or _SIZES.get(asked)
    if size is None:
        raise ValueError("aspect_ratio: 16:9 or 9:16, in 720p or 1080p.")
    return {"size": size}


DRIVER = Driver(
    name="dashscope",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_build,
            extras=EXTRAS | {"negative_prompt"},
            reply=Tasks(
                id=("output.task_id",),
                poll="/tasks/{id}",
                cancel="POST /tasks/{id}/cancel",
                state=("output.task_status",),
                states={
                    "PENDING": State.QUEUED,
                    "SUSPENDED": State.QUEUED,
                    "RUNNING": State.RUNNING,
                    "SUCCEEDED": State.DONE,
                    "FAILED": State.FAILED,
                    "CANCELED": State.CANCELLED,
                    "UNKNOWN": State.LOST,
                },
                outputs=Outputs(
                    items=("output.video_url",),
                    url="",
                    type="video/mp4",
                    lifetime_s=86_400,
                    facts={"duration_ms": ("usage.output_video_duration", "usage.duration")},
                ),
                first_poll_s=15.0,
                poll_s=10.0,
            ),
        ),
    ),
    errors=Errors(
        codes=("output.code", "code"),
        messages=("output.message", "message"),
        within_ok="code",
        kinds={
            "DataInspectionFailed*": FaultKind.MODERATED,
            "IPInfringementSuspect": FaultKind.MODERATED,
            "InvalidApiKey": FaultKind.CREDENTIAL,
            "*AccessDenied*": FaultKind.CREDENTIAL,
            "Arrearage": FaultKind.BALANCE,
            "Throttling.AllocationQuota": FaultKind.BALANCE,
            "Throttling*": FaultKind.RATE,
            "InvalidParameter*": FaultKind.CALLER,
            "InvalidImage*": FaultKind.CALLER,
            "InvalidVideo*": FaultKind.CALLER,
            "ModelNotExist": FaultKind.VENDOR,
            "InternalError*": FaultKind.VENDOR,
        },
    ),
)
