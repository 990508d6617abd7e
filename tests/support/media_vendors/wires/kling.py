"""Kling."""

from typing import Any

from tests.support.media_vendors.wire import WORDS, Asked, Reply, Task, Wire, lacks, ok


def error(status: int, code: int) -> Reply:
    return status, {"code": code, "message": WORDS, "request_id": "r-1"}, ()


FAULTS = {
    "caller": error(400, 1201),
    "moderated": error(400, 1301),
    "credential": error(401, 1002),
    "balance": error(429, 1102),
    "rate": error(429, 1303),
    "vendor": error(500, 5000),
}
STATES = {"queued": "submitted", "running": "processing", "done": "succeed", "failed": "failed", "cancelled": "failed"}
STATES |= {"odd": "dreaming", "empty": "succeed"}


def submit(asked: Asked) -> str:
    body, path = asked.json, asked.recorded.path
    if any(str(body.get(name, "")).startswith("data:") for name in ("image", "image_tail")):
        return "image has a data: prefix"
    if "duration" in body and not isinstance(body["duration"], str):
        return "duration is text"
    if "image2video" in path:
        return lacks(asked, "model_name", "image")
    return lacks(asked, "model_name", "prompt")


def told(task: Task) -> Reply:
    if task.state == "lost":
        return WIRE.lost
    data: dict[str, Any] = {
        "task_id": task.id,
        "task_status": STATES.get(task.state),
        "task_info": {"external_task_id": task.asked.json.get("external_task_id")},
        "created_at": 1767225600000,
        "updated_at": 1767225600000,
    }
    if task.state == "mute":
        del data["task_status"]
    if task.state == "failed":
        data["task_status_msg"] = WORDS
    if task.state == "done":
        is_image = "/images/" in task.asked.recorded.path
        made = {"id": "1", "url": task.url("png" if is_image else "mp4")} | ({} if is_image else {"duration": "5.1"})
        data["task_result"] = {"images" if is_image else "videos": [made]}
    return ok({"code": 0, "message": "SUCCEED", "request_id": "r-1", "data": data})


KINDS = "(text2video|image2video|omni-video)"
WIRE = Wire(
    name="kling",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    within_ok={name: ok(FAULTS[name][1]) for name in ("caller", "moderated", "rate")},
    submits={f"POST /v1/videos/{KINDS}": submit, "POST /v1/images/generations": submit},
    accepted=told,
    polls={f"GET /v1/videos/{KINDS}/(?P<id>[^/]+)": told, "GET /v1/images/generations/(?P<id>[^/]+)": told},
    lost=error(404, 1203),
)
