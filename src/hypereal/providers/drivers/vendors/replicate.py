"""Replicate, which runs the models of others. Sources: replicate 1.0.7, replicate.com/docs."""

from collections.abc import Mapping
from typing import Any

from hypereal.providers.drivers import paths
from hypereal.providers.drivers.callbacks import Callback, Secret, standard
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors, fault
from hypereal.providers.drivers.outcome import Answer, Failed, FaultKind
from hypereal.providers.drivers.replies import Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, path_of, post
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset(
    {"negative_prompt", "guidance", "guidance_scale", "prompt_strength", "output_quality"}
    | {"safety_tolerance", "prompt_upsampling", "go_fast"}
)

NAMES: Mapping[str, Mapping[str, str]] = {
    "black-forest-labs/flux-kontext": {"image": "input_image", "image_input": ""},
    "black-forest-labs/flux-2": {"image": "", "image_input": "input_images"},
    "google/nano-banana": {"image": ""},
    "kwaivgi/kling": {"image": "start_image", "last_frame": "end_image"},
    "bytedance/seedance": {"last_frame": "last_frame_image"},
    "minimax/": {"image": "first_frame_image", "last_frame": "last_frame_image"},
}
"""Models by the beginning of their names, and what they call things; '' for what they do not take."""


def _build(work: Work) -> Request:
    images = [image.as_url for image in work.references]
    is_video = work.kind is Kind.VIDEO
    width, height = work.size or (None, None)
    members = {
        "prompt": work.prompt,
        "image": images[0] if len(images) == 1 else None,
        "image_input": images or None if not is_video else None,
        "reference_images": images if is_video and len(images) > 1 else None,
        "mask": None if work.mask is None else work.mask.as_url,
        "last_frame": None if work.last_image is None else work.last_image.as_url,
        "width": width,
        "height": height,
        "aspect_ratio": work.aspect_ratio,
        "resolution": work.resolution,
        "duration": work.duration_s,
        "num_outputs": work.n if not is_video and work.n > 1 else None,
        "output_format": None if is_video else work.format,
        "seed": work.seed,
    }
    names = next((names for begin, names in NAMES.items() if work.model.startswith(begin)), {})
    told = {names.get(name, name): value for name, value in members.items() if value is not None}
    told.pop("", None)
    callback = {"webhook": work.callback_url, "webhook_events_filter": ["completed"]} if work.callback_url else {}
    _, _, version = work.model.partition(":")
    path = "/predictions" if version else f"/models/{path_of(work.model)}/predictions"
    return post(path, {"version": version or None, "input": {**work.extra, **told}, **callback})


def _forgotten(answer: Answer, said: Any) -> Failed | None:
    """What a prediction made is deleted after an hour."""
    is_gone = paths.first(said, "data_removed") is True and paths.text(said, "status") == "succeeded"
    return Failed(fault=fault(FaultKind.LOST, "its output was deleted")) if is_gone else None


DRIVER = Driver(
    name="replicate",
    auth=Auth.BEARER,
    hosts=("api.replicate.com",),
    routes=(
        Route(
            name="prediction",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT, Kind.VIDEO}),
            build=_build,
            extras=EXTRAS,
            reply=Tasks(
                id=("id",),
                poll="/predictions/{id}",
                poll_at="urls.get",
                cancel="POST /predictions/{id}/cancel",
                cancel_at="urls.cancel",
                state=("status",),
                states={
                    "starting": State.QUEUED,
                    "processing": State.RUNNING,
                    "succeeded": State.DONE,
                    "failed": State.FAILED,
                    "canceled": State.CANCELLED,
                    "aborted": State.FAILED,
                },
                read=_forgotten,
                outputs=Outputs(items=("output[]", "output.url", "output"), url="", lifetime_s=3600),
                first_poll_s=2.0,
                poll_s=2.0,
            ),
        ),
    ),
    errors=Errors(codes=("code",), messages=("detail", "error", "title")),
    callback=Callback(task_id=("id",), secret=Secret.ACCOUNT, signature="Standard Webhooks; 300 s", verify=standard),
)
