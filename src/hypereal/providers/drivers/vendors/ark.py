"""ByteDance's Seedream and Seedance at Ark, of BytePlus or Volcengine. Sources: byteplus-python-sdk-v2 3.0,
volcengine-python-sdk 5.0."""

from typing import Any

from hypereal.providers.drivers.callbacks import Callback
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind
from hypereal.providers.drivers.replies import Direct, Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post
from hypereal.providers.drivers.shapes import RATIOS_AT_2K, size_text, tier, tier_upper
from hypereal.providers.drivers.work import Kind, Media, Work
from hypereal.providers.provider import Auth

DAY_S = 86_400
IMAGE_EXTRAS = frozenset({"watermark", "guidance_scale", "optimize_prompt_options"})
VIDEO_EXTRAS = frozenset({"watermark", "camera_fixed", "return_last_frame", "safety_identifier"})
_TIMES = {"1K": (1, 2), "2K": (1, 1), "4K": (2, 1)}


def _images(work: Work) -> Request:
    images = [image.as_url for image in work.references]
    members = {
        "model": work.model,
        "prompt": work.prompt,
        "image": images[0] if len(images) == 1 else images or None,
        "size": _size(work),
        "sequential_image_generation": "disabled",
        "response_format": "url",
        "output_format": work.format,
        "seed": work.seed,
    }
    return post("/images/generations", members, extra={"watermark": False, **work.extra})


def _size(work: Work) -> str | None:
    """Pixels, or a word for them: the vendor takes one of the two, and no ratio."""
    if work.size is not None or work.aspect_ratio not in RATIOS_AT_2K:
        return size_text(work) or tier_upper(work)
    width, height = RATIOS_AT_2K[work.aspect_ratio]
    times, parts = _TIMES.get(tier_upper(work) or "2K", (1, 1))
    return f"{width * times // parts}x{height * times // parts}"


def _video(work: Work) -> Request:
    members = {
        "model": work.model,
        "content": _content(work),
        "ratio": work.aspect_ratio,
        "resolution": tier(work),
        "duration": work.duration_s,
        "seed": work.seed,
        "callback_url": work.callback_url,
    }
    return post("/contents/generations/tasks", members, extra={"watermark": False, **work.extra})


def _content(work: Work) -> list[dict[str, Any]]:
    """Frames, or images to go by: the vendor takes no mixture."""
    content: list[dict[str, Any]] = [{"type": "text", "text": work.prompt}] if work.prompt else []
    role = "first_frame" if len(work.references) == 1 else "reference_image"
    if role == "reference_image" and work.references and work.last_image is not None:
        raise ValueError("last_image_url: goes with one image to begin from, not with several to go by.")
    content += [_frame(image, role) for image in work.references]
    return content if work.last_image is None else [*content, _frame(work.last_image, "last_frame")]


def _frame(image: Media, role: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image.as_url}, "role": role}


DRIVER = Driver(
    name="ark",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT}),
            build=_images,
            extras=IMAGE_EXTRAS,
            reply=Direct(
                outputs=Outputs(
                    items=("data[]",),
                    url="url",
                    base64="b64_json",
                    lifetime_s=DAY_S,
                    facts={"images": ("usage.generated_images",), "tokens": ("usage.total_tokens",)},
                )
            ),
        ),
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_video,
            extras=VIDEO_EXTRAS,
            forgets=True,
            reply=Tasks(
                id=("id",),
                poll="/contents/generations/tasks/{id}",
                cancel="DELETE /contents/generations/tasks/{id}",
                state=("status",),
                states={
                    "queued": State.QUEUED,
                    "running": State.RUNNING,
                    "succeeded": State.DONE,
                    "failed": State.FAILED,
                    "cancelled": State.CANCELLED,
                    "expired": State.LOST,
                },
                outputs=Outputs(
                    items=("content.video_url",),
                    url="",
                    type="video/mp4",
                    lifetime_s=DAY_S,
                    facts={"tokens": ("usage.completion_tokens",), "duration_ms": ("duration",)},
                ),
                first_poll_s=10.0,
            ),
        ),
    ),
    errors=Errors(
        codes=("error.code", "data[].error.code"),
        messages=("error.message", "data[].error.message"),
        kinds={
            "*SensitiveContentDetected*": FaultKind.MODERATED,
            "AuthenticationError": FaultKind.CREDENTIAL,
            "AccessDenied*": FaultKind.CREDENTIAL,
            "ModelNotOpen*": FaultKind.CREDENTIAL,
            "InvalidEndpoint*": FaultKind.CREDENTIAL,
            "AccountOverdueError": FaultKind.BALANCE,
            "QuotaExceeded*": FaultKind.BALANCE,
            "RateLimitExceeded*": FaultKind.RATE,
            "ServerOverloaded*": FaultKind.VENDOR,
            "ModelLoadingError*": FaultKind.VENDOR,
            "InvalidParameter*": FaultKind.CALLER,
            "MissingParameter*": FaultKind.CALLER,
        },
    ),
    callback=Callback(task_id=("id",)),
)
