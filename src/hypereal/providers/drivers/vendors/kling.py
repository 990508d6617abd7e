"""Kling of Kuaishou: video and images. Source: mirrors of the vendor's API reference (2026)."""

from collections.abc import Mapping
from typing import Any

from hypereal.providers.drivers.callbacks import Callback
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind, Task
from hypereal.providers.drivers.replies import Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post, segment
from hypereal.providers.drivers.shapes import ratio, tier
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

OMNI = ("kling-video-o1", "kling-v3-omni")
EXTRAS = frozenset(
    {"negative_prompt", "cfg_scale", "camera_control", "image_reference", "image_fidelity", "human_fidelity"}
)
MONTH_S = 30 * 86_400
_STATES: Mapping[str, State] = {
    "submitted": State.QUEUED,
    "processing": State.RUNNING,
    "succeed": State.DONE,
    "failed": State.FAILED,
}
_MODES = {"720p": "std", "1080p": "pro"}


def _video_path(work: Work) -> str:
    if work.model.startswith(OMNI):
        return "/v1/videos/omni-video"
    return "/v1/videos/image2video" if work.references else "/v1/videos/text2video"


def _video(work: Work) -> Request:
    members = _members(work) | {
        "duration": None if work.duration_s is None else str(work.duration_s),
        "mode": work.quality if work.quality in ("std", "pro") else _MODES.get(tier(work) or ""),
    }
    if work.model.startswith(OMNI):
        members |= {"image_list": _image_list(work) or None, "aspect_ratio": ratio(work) or "16:9"}
    elif work.references:
        members |= {
            "image": work.references[0].as_base64,
            "image_tail": None if work.last_image is None else work.last_image.as_base64,
            "aspect_ratio": None,
        }
    return post(_video_path(work), members, extra=work.extra)


def _image_list(work: Work) -> list[dict[str, str]]:
    """One image is where it begins; several are to go by. An end needs a beginning."""
    roles: list[dict[str, str]] = [{"image_url": one.as_base64} for one in work.references]
    if len(roles) == 1:
        roles[0]["type"] = "first_frame"
    if work.last_image is not None:
        roles.append({"image_url": work.last_image.as_base64, "type": "end_frame"})
    return roles


def _images(work: Work) -> Request:
    members = _members(work) | {"n": work.n, "resolution": tier(work)}
    if work.references:
        members["image"] = work.references[0].as_base64
    return post("/v1/images/generations", members, extra=work.extra)


def _members(work: Work) -> dict[str, Any]:
    return {
        "model_name": work.model,
        "prompt": work.prompt,
        "aspect_ratio": ratio(work),
        "callback_url": work.callback_url,
        "external_task_id": work.key or None,
    }


def _task_of_video(work: Work) -> Task:
    return Task(route="video", id=work.key, poll=f"{_video_path(work)}/{segment(work.key)}")


def _task_of_images(work: Work) -> Task:
    return Task(route="image", id=work.key, poll=f"/v1/images/generations/{segment(work.key)}")


def _outputs(items: str, content_type: str, facts: Mapping[str, tuple[str, ...]]) -> Outputs:
    return Outputs(items=(items,), url="url", type=content_type, lifetime_s=MONTH_S, facts=facts)


DRIVER = Driver(
    name="kling",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_video,
            extras=EXTRAS,
            recover=_task_of_video,
            reply=Tasks(
                id=("data.task_id",),
                poll=lambda work: _video_path(work) + "/{id}",
                state=("data.task_status",),
                states=_STATES,
                outputs=_outputs(
                    "data.task_result.videos[]",
                    "video/mp4",
                    {"duration_ms": ("data.task_result.videos[0].duration",)},
                ),
                first_poll_s=10.0,
            ),
        ),
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT}),
            build=_images,
            extras=EXTRAS,
            is_batch=True,
            recover=_task_of_images,
            reply=Tasks(
                id=("data.task_id",),
                poll="/v1/images/generations/{id}",
                state=("data.task_status",),
                states=_STATES,
                outputs=_outputs("data.task_result.images[]", "", {}),
            ),
        ),
    ),
    errors=Errors(
        codes=("code",),
        messages=("data.task_status_msg", "message"),
        within_ok="code",
        ok=frozenset({"0"}),
        kinds={
            "1000": FaultKind.CREDENTIAL,
            "1001": FaultKind.CREDENTIAL,
            "1002": FaultKind.CREDENTIAL,
            "1003": FaultKind.CREDENTIAL,
            "1004": FaultKind.CREDENTIAL,
            "1100": FaultKind.BALANCE,
            "1101": FaultKind.BALANCE,
            "1102": FaultKind.BALANCE,
            "1103": FaultKind.CREDENTIAL,
            "1200": FaultKind.CALLER,
            "1201": FaultKind.CALLER,
            "1202": FaultKind.LOST,
            "1203": FaultKind.LOST,
            "1300": FaultKind.MODERATED,
            "1301": FaultKind.MODERATED,
            "1302": FaultKind.RATE,
            "1303": FaultKind.RATE,
            "1304": FaultKind.CREDENTIAL,
            "5*": FaultKind.VENDOR,
        },
    ),
    callback=Callback(task_id=("task_id", "data.task_id")),
)
