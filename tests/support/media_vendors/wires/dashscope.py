"""DashScope: Wan."""

from typing import Any

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok


def error(status: int, code: str, *fields: str) -> Reply:
    return status, {"code": code, "message": WORDS, "request_id": "r-1"}, fields


FAULTS = {
    "caller": error(400, "InvalidParameter"),
    "moderated": error(400, "DataInspectionFailed"),
    "credential": error(401, "InvalidApiKey"),
    "balance": error(400, "Arrearage"),
    "rate": error(429, "Throttling.RateQuota", f"retry-after: {RETRY_AFTER_S}"),
    "vendor": error(500, "InternalError.Timeout"),
}
STATES = {"queued": "PENDING", "running": "RUNNING", "done": "SUCCEEDED", "failed": "FAILED", "moderated": "FAILED"}
STATES |= {"cancelled": "CANCELED", "lost": "UNKNOWN", "odd": "DREAMING", "empty": "SUCCEEDED"}


def submit(asked: Asked) -> str:
    if asked.recorded.get("x-dashscope-async") != "enable":
        return "current user api does not support synchronous calls"
    wanted = {"wan2.7": "media", "i2v": "img_url", "t2v": "prompt", "r2v": "reference_urls"}
    needed = next((member for part, member in wanted.items() if part in asked.json["model"]), "prompt")
    return lacks(asked, "model", "input") or ("" if asked.json["input"].get(needed) else f"missing {needed}")


def told(task: Task) -> Reply:
    output: dict[str, Any] = {"task_id": task.id, "task_status": STATES.get(task.state)}
    usage = {}
    if task.state == "mute":
        del output["task_status"]
    if task.state == "done":
        output["video_url"] = task.url("mp4")
        usage = {"duration": 5, "output_video_duration": 5, "input_video_duration": 0, "SR": 720, "video_count": 1}
    if task.state == "failed":
        output |= {"code": "InternalError", "message": WORDS}
    if task.state == "moderated":
        output |= {"code": "DataInspectionFailed", "message": WORDS}
    return ok({"request_id": "r-1", "output": output, "usage": usage})


WIRE = Wire(
    name="dashscope",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    within_ok={"caller": ok(FAULTS["caller"][1]), "moderated": ok(FAULTS["moderated"][1])},
    submits={
        "POST /api/v1/services/aigc/video-generation/video-synthesis": submit,
        "POST /api/v1/services/aigc/image2video/video-synthesis": lambda asked: lacks(asked, "model", "input"),
    },
    accepted=told,
    polls={"GET /api/v1/tasks/(?P<id>[^/]+)": told},
    cancels={"POST /api/v1/tasks/(?P<id>[^/]+)/cancel": lambda task: ok({"request_id": "r-2"})},
    lost=ok({"request_id": "r-1", "output": {"task_id": "", "task_status": "UNKNOWN"}}),
)
