"""MiniMax's Hailuo videos, and its second interface (H3). Sources: the vendor's API reference, ai-sdk and new-api."""

from typing import Any

from hypereal.providers.drivers.callbacks import Callback
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind
from hypereal.providers.drivers.replies import Direct, Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post
from hypereal.providers.drivers.shapes import ratio, tier_upper
from hypereal.providers.drivers.work import Kind, Media, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset({"prompt_optimizer", "fast_pretreatment", "aigc_watermark", "subject_reference"})
_NEAREST = {"720P": "768P"}


def _first(work: Work) -> Request:
    tier = tier_upper(work)
    members = {
        "model": work.model,
        "prompt": work.prompt,
        "duration": work.duration_s,
        "resolution": None if tier is None else _NEAREST.get(tier, tier),
        "first_frame_image": work.references[0].as_url if work.references else None,
        "last_frame_image": None if work.last_image is None else work.last_image.as_url,
        "callback_url": work.callback_url,
    }
    return post("/v1/video_generation", members, extra=work.extra)


def _second(work: Work) -> Request:
    content: list[dict[str, Any]] = [{"type": "text", "text": work.prompt}] if work.prompt else []
    role = "first_frame" if len(work.references) == 1 else "reference_image"
    content += [_image(image, role) for image in work.references]
    content += [] if work.last_image is None else [_image(work.last_image, "last_frame")]
    members = {
        "model": work.model,
        "content": content,
        "resolution": tier_upper(work),
        "duration": work.duration_s,
        "ratio": ratio(work),
        "callback_url": work.callback_url,
    }
    return post("/v2/video_generation", members, extra=work.extra)


def _image(image: Media, role: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image.as_url}, "role": role}


DRIVER = Driver(
    name="minimax",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="second",
            kinds=frozenset({Kind.VIDEO}),
            models=("MiniMax-H3",),
            build=_second,
            extras=frozenset({"aigc_watermark"}),
            forgets=True,
            reply=Tasks(
                id=("task_id",),
                poll="/v2/query/video_generation/{id}",
                cancel="DELETE /v2/video_generation/{id}",
                state=("task.status",),
                states={
                    "queued": State.QUEUED,
                    "running": State.RUNNING,
                    "succeeded": State.DONE,
                    "failed": State.FAILED,
                    "cancelled": State.CANCELLED,
                },
                outputs=Outputs(
                    items=("task.content.url",),
                    url="",
                    type="video/mp4",
                    facts={"duration_ms": ("task.usage.total_seconds",)},
                ),
                first_poll_s=10.0,
            ),
        ),
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_first,
            extras=EXTRAS,
            reply=Tasks(
                id=("task_id",),
                poll="/v1/query/video_generation?task_id={id}",
                state=("status",),
                states={
                    "Preparing": State.QUEUED,
                    "Queueing": State.QUEUED,
                    "Processing": State.RUNNING,
                    "Success": State.DONE,
                    "Fail": State.FAILED,
                },
                result="/v1/files/retrieve?file_id={file_id}",
                names={"file_id": "file_id"},
                then=Direct(
                    outputs=Outputs(items=("file.download_url",), url="", type="video/mp4", lifetime_s=9 * 3600)
                ),
                outputs=Outputs(items=()),
                first_poll_s=10.0,
                poll_s=10.0,
            ),
        ),
    ),
    errors=Errors(
        codes=("base_resp.status_code", "task.error.code", "error.code"),
        messages=("base_resp.status_msg", "task.error.message", "error.message"),
        within_ok="base_resp.status_code",
        ok=frozenset({"0"}),
        kinds={
            "1000": FaultKind.VENDOR,
            "1001": FaultKind.VENDOR,
            "1002": FaultKind.RATE,
            "1004": FaultKind.CREDENTIAL,
            "1008": FaultKind.BALANCE,
            "1024": FaultKind.VENDOR,
            "1026": FaultKind.MODERATED,
            "1027": FaultKind.MODERATED,
            "1033": FaultKind.VENDOR,
            "1039": FaultKind.RATE,
            "1041": FaultKind.RATE,
            "1042": FaultKind.CALLER,
            "2013": FaultKind.CALLER,
            "2049": FaultKind.CREDENTIAL,
        },
    ),
    callback=Callback(task_id=("task_id",), echo="challenge"),
)
