"""Ark: Seedream and Seedance."""

from typing import Any

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok


def error(status: int, code: str, *fields: str) -> Reply:
    return status, {"error": {"code": code, "message": WORDS, "param": "", "type": "BadRequest"}}, fields


FAULTS = {
    "caller": error(400, "InvalidParameter"),
    "moderated": error(400, "InputTextSensitiveContentDetected"),
    "credential": error(401, "AuthenticationError"),
    "balance": error(403, "AccountOverdueError"),
    "rate": error(429, "RateLimitExceeded.EndpointRPMExceeded", f"retry-after: {RETRY_AFTER_S}"),
    "vendor": error(500, "InternalServiceError"),
}


def images(asked: Asked) -> Reply:
    if lacks(asked, "model", "prompt") or asked.json.get("watermark") is not False:
        return FAULTS["caller"]
    if "no" in asked.json["prompt"].split():
        failed = {"error": {"code": "OutputImageSensitiveContentDetected", "message": WORDS}}
        return ok({"model": asked.json["model"], "data": [failed], "usage": {"generated_images": 0}})
    usage = {"generated_images": 1, "output_tokens": 16384, "total_tokens": 16384}
    drawn = {"url": f"{asked.origin}/files/drawn.png", "size": "2048x2048"}
    return ok({"model": asked.json["model"], "created": 1767225600, "data": [drawn], "usage": usage})


def video(asked: Asked) -> str:
    roles = {one.get("role") for one in asked.json.get("content", ()) if one["type"] == "image_url"}
    mixed = "reference_image" in roles and roles & {"first_frame", "last_frame"}
    return lacks(asked, "model", "content") or ("roles cannot be mixed" if mixed else "")


STATES = {"queued": "queued", "running": "running", "done": "succeeded", "failed": "failed", "moderated": "failed"}
STATES |= {"cancelled": "cancelled", "lost": "expired", "odd": "dreaming", "empty": "succeeded"}


def told(task: Task) -> Reply:
    body: dict[str, Any] = {"id": task.id, "model": "seedance", "status": STATES.get(task.state), "duration": 5}
    if task.state == "mute":
        del body["status"]
    if task.state == "done":
        url = task.url("mp4")
        body |= {"content": {"video_url": url}, "usage": {"completion_tokens": 87300, "total_tokens": 87300}}
    if task.state == "failed":
        body["error"] = {"code": "InternalServiceError", "message": WORDS}
    if task.state == "moderated":
        body["error"] = {"code": "OutputVideoSensitiveContentDetected", "message": WORDS}
    return ok(body)


def cancelled(task: Task) -> Reply:
    return ok({})


TASKS = "/contents/generations/tasks"
WIRE = Wire(
    name="ark",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    directs={"POST /images/generations": images},
    submits={f"POST {TASKS}": video},
    polls={f"GET {TASKS}/(?P<id>[^/]+)": told},
    cancels={f"DELETE {TASKS}/(?P<id>[^/]+)": cancelled},
    lost=error(404, "ResourceNotFound"),
)
