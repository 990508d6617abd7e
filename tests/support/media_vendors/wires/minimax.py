"""MiniMax: Hailuo by its first interface, H3 by its second."""

from typing import Any

from tests.support.media_vendors.wire import WORDS, Asked, Reply, Task, Wire, lacks, ok


def refused(code: int) -> Reply:
    return ok({"base_resp": {"status_code": code, "status_msg": WORDS}})


FAULTS = {
    "caller": refused(2013),
    "moderated": refused(1026),
    "credential": refused(1004),
    "balance": refused(1008),
    "rate": refused(1002),
    "vendor": refused(1024),
}
WELL = {"status_code": 0, "status_msg": "success"}
STATES = {"queued": "Queueing", "running": "Processing", "done": "Success", "failed": "Fail", "moderated": "Fail"}
STATES |= {"cancelled": "Fail", "odd": "Dreaming", "empty": "Success"}
SECOND = {"queued": "queued", "running": "running", "done": "succeeded", "failed": "failed", "cancelled": "cancelled"}
SECOND |= {"moderated": "failed", "odd": "dreaming", "empty": "succeeded"}


def first(task: Task) -> Reply:
    if task.state == "lost":
        return WIRE.lost
    body: dict[str, Any] = {"task_id": task.id, "status": STATES.get(task.state), "base_resp": WELL}
    if task.state == "mute":
        del body["status"]
    if task.state == "done":
        body |= {"file_id": f"file-{task.id}", "video_width": 1366, "video_height": 768}
    if task.state == "empty":
        body["file_id"] = ""
    if task.state == "moderated":
        body["base_resp"] = {"status_code": 1027, "status_msg": WORDS}
    return ok(body)


def second(task: Task) -> Reply:
    if task.state == "lost":
        return 404, {"error": {"code": "not_found", "message": WORDS}}, ()
    told: dict[str, Any] = {"id": task.id, "model": "MiniMax-H3", "status": SECOND.get(task.state)}
    if task.state == "mute":
        del told["status"]
    if task.state == "done":
        told |= {"content": {"url": task.url("mp4")}, "usage": {"total_seconds": 6}}
    if task.state == "failed":
        told["error"] = {"code": "1024", "message": WORDS}
    if task.state == "moderated":
        told["error"] = {"code": "1027", "message": WORDS}
    return ok({"task": told})


def file(task: Task) -> Reply:
    return ok({"file": {"file_id": f"file-{task.id}", "download_url": task.url("mp4")}, "base_resp": WELL})


def accepted(task: Task) -> Reply:
    is_second = "/v2/" in task.asked.recorded.path
    return ok({"task_id": task.id} if is_second else {"task_id": task.id, "base_resp": WELL})


def submit(asked: Asked) -> str:
    resolution = asked.json.get("resolution")
    return lacks(asked, "model") or ("" if resolution in (None, "512P", "768P", "1080P") else "resolution")


WIRE = Wire(
    name="minimax",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    within_ok=FAULTS,
    submits={
        "POST /v1/video_generation": submit,
        "POST /v2/video_generation": lambda asked: lacks(asked, "model", "content"),
    },
    accepted=accepted,
    polls={"GET /v1/query/video_generation": first, "GET /v2/query/video_generation/(?P<id>[^/]+)": second},
    results={"GET /v1/files/retrieve": file},
    cancels={"DELETE /v2/video_generation/(?P<id>[^/]+)": lambda task: ok({})},
    lost=refused(2013),
)
