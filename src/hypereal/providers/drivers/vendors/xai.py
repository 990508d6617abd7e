"""xAI's Grok Imagine: images and video. Sources: ai-sdk, litellm 1.109."""

from typing import Any

from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.replies import Direct, Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post
from hypereal.providers.drivers.shapes import ratio, tier
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

LIFETIME_S = 3600
"""The vendor says only that an address is for a while."""


def _images(work: Work) -> Request:
    images = [{"type": "image_url", "url": image.as_url} for image in work.references]
    members: dict[str, Any] = {
        "model": work.model,
        "prompt": work.prompt,
        "n": work.n,
        "aspect_ratio": ratio(work),
        "resolution": tier(work),
        "quality": work.quality,
        "output_format": work.format,
        "response_format": "url",
    }
    if not images:
        return post("/images/generations", members, extra=work.extra)
    given = {"image": images[0]} if len(images) == 1 else {"images": images}
    return post("/images/edits", members | given, extra=work.extra)


def _video(work: Work) -> Request:
    images = [{"url": image.as_url} for image in work.references]
    members = {
        "model": work.model,
        "prompt": work.prompt,
        "duration": work.duration_s,
        "aspect_ratio": ratio(work),
        "resolution": tier(work),
        "image": images[0] if len(images) == 1 else None,
        "reference_images": images if len(images) > 1 else None,
    }
    return post("/videos/generations", members, extra=work.extra)


DRIVER = Driver(
    name="xai",
    auth=Auth.BEARER,
    routes=(
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT}),
            build=_images,
            extras=frozenset({"user"}),
            reply=Direct(
                outputs=Outputs(
                    items=("data[]",),
                    url="url",
                    base64="b64_json",
                    revised_prompt="revised_prompt",
                    allowed="respect_moderation",
                    lifetime_s=LIFETIME_S,
                )
            ),
        ),
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_video,
            extras=frozenset({"user"}),
            reply=Tasks(
                id=("request_id",),
                poll="/videos/{id}",
                state=("status",),
                states={
                    "pending": State.RUNNING,
                    "done": State.DONE,
                    "failed": State.FAILED,
                    "expired": State.LOST,
                },
                progress=("progress",),
                outputs=Outputs(
                    items=("video",),
                    url="url",
                    allowed="respect_moderation",
                    type="video/mp4",
                    lifetime_s=LIFETIME_S,
                    facts={"duration_ms": ("video.duration",)},
                ),
            ),
        ),
    ),
    errors=Errors(codes=("error.code", "error.type", "code"), messages=("error.message", "error", "message")),
)
