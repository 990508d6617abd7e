"""Vidu of Shengshu. Sources: platform.vidu.com, "Callback signature"; new-api."""

import base64
import hashlib
import hmac

from hypereal.providers.drivers.callbacks import Call, Callback, Secret
from hypereal.providers.drivers.driver import Driver, Route
from hypereal.providers.drivers.errors import Errors
from hypereal.providers.drivers.outcome import FaultKind
from hypereal.providers.drivers.replies import Outputs, State, Tasks
from hypereal.providers.drivers.requests import Request, post
from hypereal.providers.drivers.shapes import ratio, tier
from hypereal.providers.drivers.work import Kind, Work
from hypereal.providers.provider import Auth

EXTRAS = frozenset({"movement_amplitude", "bgm", "audio", "voice_id", "style", "watermark", "wm_position"})
SIGNED_HEADERS_MAX = 16


def _build(work: Work) -> Request:
    images = [image.as_url for image in work.references]
    if work.last_image is not None:
        if len(images) != 1:
            raise ValueError("last_image_url: needs one image to begin from.")
        images.append(work.last_image.as_url)
    members = {
        "model": work.model,
        "prompt": work.prompt or None,
        "images": images or None,
        "duration": work.duration_s,
        "seed": work.seed,
        "aspect_ratio": ratio(work),
        "resolution": tier(work),
        "callback_url": work.callback_url,
    }
    return post(f"/ent/v2/{_operation(work)}", members, extra=work.extra)


def _operation(work: Work) -> str:
    if work.last_image is not None:
        return "start-end2video"
    names = ("text2video", "img2video")
    return names[len(work.references)] if len(work.references) < len(names) else "reference2video"


def _verify(call: Call, secret: bytes, at_unix_s: float) -> bool:
    """A signature that leaves out the body: it only says that Vidu calls."""
    headers = call.headers
    names = headers.get("x-hmac-signed-headers", "").split(";")[:SIGNED_HEADERS_MAX]
    head = f"{call.method}\n{call.path}\n{call.query}\nvidu\n{headers.get('date', '')}\n"
    signed = head + "".join(f"{name}:{headers.get(name.lower(), '')}\n" for name in names if name)
    wanted = base64.b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256))
    return bool(secret) and hmac.compare_digest(headers.get("x-hmac-signature", "").encode(), wanted)


DRIVER = Driver(
    name="vidu",
    auth=Auth.TOKEN,
    routes=(
        Route(
            name="video",
            kinds=frozenset({Kind.VIDEO}),
            build=_build,
            extras=EXTRAS,
            reply=Tasks(
                id=("task_id",),
                poll="/ent/v2/tasks/{id}/creations",
                cancel="POST /ent/v2/tasks/{id}/cancel",
                cancel_names_it=True,
                state=("state",),
                states={
                    "created": State.QUEUED,
                    "queueing": State.QUEUED,
                    "processing": State.RUNNING,
                    "success": State.DONE,
                    "failed": State.FAILED,
                },
                progress=("progress",),
                outputs=Outputs(items=("creations[]",), url="url", type="video/mp4", lifetime_s=86_400),
                first_poll_s=10.0,
            ),
        ),
    ),
    errors=Errors(
        codes=("err_code", "reason", "code"),
        messages=("message", "err_msg"),
        kinds={
            "*PolicyViolation*": FaultKind.MODERATED,
            "*AuditSubmitIllegal*": FaultKind.MODERATED,
            "CreditInsufficient*": FaultKind.BALANCE,
            "Unauthorized*": FaultKind.CREDENTIAL,
            "QuotaExceeded*": FaultKind.RATE,
            "TooManyRequests*": FaultKind.RATE,
            "*Throttling*": FaultKind.RATE,
            "Forbidden": FaultKind.CREDENTIAL,
            "TaskNotFound": FaultKind.LOST,
            "CreationNotFound": FaultKind.LOST,
            "UserCancelled": FaultKind.CANCELLED,
            "Canceled": FaultKind.CANCELLED,
            "BadRequest": FaultKind.CALLER,
            "Field*": FaultKind.CALLER,
            "Image*": FaultKind.CALLER,
            "PageSizeOutOfRange": FaultKind.CALLER,
            "ModelUnavailable": FaultKind.VENDOR,
            "InternalServiceFailure": FaultKind.VENDOR,
            "System*": FaultKind.VENDOR,
        },
    ),
    callback=Callback(
        task_id=("id", "task_id"),
        secret=Secret.API_KEY,
        signature="HMAC-SHA256 of the place and some headers, not of the body",
        verify=_verify,
    ),
)
