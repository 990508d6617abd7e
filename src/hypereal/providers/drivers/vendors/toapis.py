"""ToAPIs, which resells the models of others. Source: docs.toapis.com (2026-09)."""

from collections.abc import Mapping
from typing import Any

from hypereal.providers.drivers.callbacks import Callback, Secret, stamped_hex
from hypereal.providers.drivers.driver import Driver, Route, Takes
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind
from hypereal.providers.drivers.replies import Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post
from hypereal.providers.drivers.shapes import size_text
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset({"negative_prompt", "watermark", "camera_fixed", "cfg_scale", "prompt_optimizer", "shot_type"})
_STATES: Mapping[str, State] = {
    "queued": State.QUEUED,
    "submitted": State.QUEUED,
    "in_progress": State.RUNNING,
    "completed": State.DONE,
    "failed": State.FAILED,
}


def _images(work: Work) -> Request:
    return post("/images/generations", _members(work) | {"n": work.n, "size": size_text(work) or work.aspect_ratio})


def _video(work: Work) -> Request:
    members = {"duration": work.duration_s, "aspect_ratio": work.aspect_ratio, "size": size_text(work)}
    return post("/videos/generations", _members(work) | members)


def _members(work: Work) -> dict[str, Any]:
    images = [image.url for image in work.references]
    if work.last_image is not None:
        images.append(work.last_image.url)
    seed = {} if work.seed is None else {"seed": work.seed}
    return {
        "model": work.model,
        "prompt": work.prompt,
        "resolution": work.resolution,
        "quality": work.quality,
        "image_urls": images or None,
        "metadata": {**work.extra, **seed} or None,
        "callback_url": work.callback_url,
        "client_business_id": work.key or None,
    }


def _tasks(poll: str) -> Tasks:
    items = ("result.data[].url", "data[].url", "url", "data[].result.data[].url")
    return Tasks(
        id=("id", "data[0].task_id", "task_id"),
        poll=poll,
        state=("status", "data[0].status"),
        states=_STATES,
        progress=("progress",),
        outputs=Outputs(items=items, url="", lifetime_s=86_400),
    )


DRIVER = Driver(
    name="toapis",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT}),
            build=_images,
            reply=_tasks("/images/generations/{id}"),
            takes=Takes.URL,
            extras=EXTRAS,
            is_batch=True,
        ),
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_video,
            reply=_tasks("/videos/generations/{id}"),
            takes=Takes.URL,
            extras=EXTRAS,
        ),
    ),
    errors=Errors(
        codes=("error.code", "error.type"),
        statuses={422: FaultKind.MODERATED},
        kinds={
            "rate_limit_exceeded": FaultKind.RATE,
            "rate_limit_unavailable": FaultKind.VENDOR,
            "generation_failed": FaultKind.VENDOR,
            "webhook_not_configured": FaultKind.CREDENTIAL,
        },
    ),
    callback=Callback(
        task_id=("data.task_id",),
        secret=Secret.ACCOUNT,
        signature="HMAC-SHA256 of id, time and body; 300 s",
        verify=stamped_hex("x-toapis-webhook-signature", "x-toapis-webhook-timestamp", "x-toapis-webhook-id"),
    ),
)
