"""fal, which runs the models of others in a queue. Sources: fal_client 1.0.3, docs.fal.ai."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.callbacks import Callback, Secret, ed25519
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors, fault_of
from hypereal.providers.drivers.outcome import Answer, Failed, FaultKind
from hypereal.providers.drivers.replies import Direct, Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, path_of, post
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset(
    {"negative_prompt", "guidance_scale", "strength", "loras"}
    | {"safety_tolerance", "enable_prompt_expansion", "camera_control", "cfg_scale", "acceleration"}
)
NAMES: Mapping[str, Mapping[str, str]] = {
    "fal-ai/kling-video": {"end_image_url": "tail_image_url"},
    "fal-ai/veo3.1/first-last-frame": {"image_url": "first_frame_url", "end_image_url": "last_frame_url"},
    "fal-ai/veo3.1/fast/first-last-frame": {"image_url": "first_frame_url", "end_image_url": "last_frame_url"},
}
"""Apps by the beginning of their names, and what they call things."""
WEEK_S = 7 * 86_400


def _build(work: Work) -> Request:
    images = [image.as_url for image in work.references]
    is_video = work.kind is Kind.VIDEO
    members: dict[str, Any] = {
        "prompt": work.prompt,
        "image_url": images[0] if images else None,
        "image_urls": images or None if not is_video or len(images) > 1 else None,
        "mask_url": None if work.mask is None else work.mask.as_url,
        "end_image_url": None if work.last_image is None else work.last_image.as_url,
        "image_size": None if work.size is None else {"width": work.size[0], "height": work.size[1]},
        "aspect_ratio": work.aspect_ratio,
        "resolution": work.resolution,
        "quality": work.quality,
        "duration": _duration(work),
        "num_images": None if is_video else work.n,
        "output_format": None if is_video else work.format,
        "seed": work.seed,
    }
    for old, new in _names(work).items():
        members[new] = members.pop(old)
    told = "" if work.callback_url is None else f"?fal_webhook={quote(work.callback_url, safe='')}"
    return post(f"/{path_of(work.model)}{_edits(work)}{told}", members, extra=work.extra)


def _edits(work: Work) -> str:
    """An app that draws from text has a sister below it that edits; apps that are named in full are what they are."""
    return "/edit" if work.kind is Kind.IMAGE_EDIT and work.model.count("/") == 1 else ""


def _duration(work: Work) -> str | None:
    """As text: some apps take one of a list of texts, and those that take a number read it from one."""
    if work.duration_s is None:
        return None
    return f"{work.duration_s}s" if "/veo" in work.model else str(work.duration_s)


def _names(work: Work) -> Mapping[str, str]:
    return next((names for begin, names in NAMES.items() if work.model.startswith(begin)), {})


def _app(work: Work) -> str:
    """What a task belongs to: owner and app, without what is below."""
    return "/" + path_of("/".join(work.model.split("/")[:2])) + "/requests/{id}"


_ERRORS = Errors(
    codes=("detail[].type", "error_type", "error.type", "error.code"),
    messages=("detail", "error.message", "error", "message"),
    kinds={"content_policy_violation": FaultKind.MODERATED},
)


def _broken(answer: Answer, said: Any) -> Failed | None:
    """A run that failed is COMPLETED as well, with an error beside it."""
    is_done = paths.text(said, "status") == "COMPLETED"
    return Failed(fault=fault_of(_ERRORS, answer, said)) if is_done and paths.first(said, "error") else None


DRIVER = Driver(
    name="fal",
    auth=Auth.KEY,
    hosts=("queue.fal.run",),
    routes=(
        Route(
            name="run",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT, Kind.VIDEO}),
            build=_build,
            extras=EXTRAS,
            is_batch=True,
            reply=Tasks(
                id=("request_id",),
                poll=lambda work: _app(work) + "/status",
                poll_at="status_url",
                cancel=lambda work: f"PUT {_app(work)}/cancel",
                cancel_at="cancel_url",
                result=_app,
                result_at="response_url",
                state=("status",),
                states={"IN_QUEUE": State.QUEUED, "IN_PROGRESS": State.RUNNING, "COMPLETED": State.DONE},
                read=_broken,
                outputs=Outputs(items=()),
                then=Direct(
                    verdicts=frozenset({422, 500}),
                    outputs=Outputs(
                        items=("images[]", "image", "videos[]", "video"),
                        url="url",
                        content_type="content_type",
                        lifetime_s=WEEK_S,
                        facts={"duration_ms": ("video.duration",)},
                    ),
                ),
                first_poll_s=2.0,
                poll_s=2.0,
            ),
        ),
    ),
    errors=_ERRORS,
    callback=Callback(
        task_id=("request_id",),
        secret=Secret.KEY_SET,
        signature="Ed25519 of ids, time and body; 300 s",
        verify=ed25519,
        keys_url="https://rest.fal.ai/.well-known/jwks.json",
    ),
)
