"""FLUX of Black Forest Labs. Sources: the vendor's OpenAPI and its "skills" repository (2026-02)."""

import hmac

from hypereal.providers.drivers.callbacks import Call, Callback, Secret, hex_of_body
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind
from hypereal.providers.drivers.replies import Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post, segment
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = {"safety_tolerance", "prompt_upsampling", "guidance", "raw", "image_prompt_strength"}


def _build(work: Work) -> Request:
    width, height = work.size or (None, None)
    names = ("input_image", *(f"input_image_{number}" for number in range(2, len(work.references) + 1)))
    images = {name: image.as_base64 for name, image in zip(names, work.references, strict=False)}
    callback = {"webhook_url": work.callback_url, "webhook_secret": work.callback_secret or None}
    members = {
        "prompt": work.prompt,
        **images,
        "width": width,
        "height": height,
        "aspect_ratio": work.aspect_ratio if work.size is None else None,
        "output_format": work.format,
        "seed": work.seed,
        **(callback if work.callback_url else {}),
    }
    return post(f"/v1/{segment(work.model)}", members, extra=work.extra)


_is_signed = hex_of_body("x-bfl-signature", "sha256=")


def _verify(call: Call, secret: bytes, at_unix_s: float) -> bool:
    """Newer deployments sign, older ones send the secret itself."""
    told = call.headers.get("x-webhook-secret", "").encode()
    return _is_signed(call, secret, at_unix_s) or (bool(secret) and hmac.compare_digest(told, secret))


DRIVER = Driver(
    name="bfl",
    auth=Auth.X_KEY,
    hosts=(".bfl.ai",),
    routes=(
        Route(
            name="image",
            kinds=frozenset({Kind.IMAGE, Kind.IMAGE_EDIT}),
            build=_build,
            extras=frozenset(EXTRAS),
            reply=Tasks(
                id=("id",),
                poll="/v1/get_result?id={id}",
                poll_at="polling_url",
                state=("status", "state"),
                states={
                    "Pending": State.RUNNING,
                    "Ready": State.DONE,
                    "Error": State.FAILED,
                    "Failed": State.FAILED,
                    "Request Moderated": State.MODERATED,
                    "Content Moderated": State.MODERATED,
                    "Task not found": State.LOST,
                },
                progress=("progress",),
                progress_max=1.0,
                outputs=Outputs(items=("result.sample",), url="", lifetime_s=600),
                first_poll_s=1.0,
                poll_s=1.0,
            ),
        ),
    ),
    errors=Errors(
        codes=("status", "error.code", "code"),
        messages=("details.Moderation Reasons", "details.error", "detail", "message", "error"),
        kinds={"Request Moderated": FaultKind.MODERATED, "Content Moderated": FaultKind.MODERATED},
    ),
    callback=Callback(task_id=("id",), secret=Secret.JOB, signature="HMAC-SHA256 of the body", verify=_verify),
)
