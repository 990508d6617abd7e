"""ToAPIs."""

from typing import Any

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok


def error(status: int, code: str, *fields: str) -> Reply:
    return status, {"error": {"code": code, "message": WORDS}}, fields


STATES = {"queued": "queued", "running": "in_progress", "done": "completed", "failed": "failed", "moderated": "failed"}
STATES |= {"cancelled": "failed", "odd": "dreaming", "empty": "completed"}


def submit(asked: Asked) -> str:
    urls = asked.json.get("image_urls") or []
    return lacks(asked, "model", "prompt") or ("" if all(url.startswith("http") for url in urls) else "no base64")


def told(task: Task) -> Reply:
    if task.state == "lost":
        return WIRE.lost
    ending = "png" if "/images/" in task.asked.recorded.path else "mp4"
    body: dict[str, Any] = {"id": task.id, "object": "generation.task", "status": STATES.get(task.state)}
    body["progress"] = round((task.progress or 0) * 100)
    if task.state == "mute":
        del body["status"]
    if task.state == "done":
        data = [{"url": task.url(ending)}] * task.asked.json.get("n", 1)
        body["result"] = {"type": "image", "data": data}
    if task.state == "failed":
        body["error"] = {"code": "generation_failed", "message": WORDS}
    return ok(body)


WIRE = Wire(
    name="toapis",
    credential=("authorization", "Bearer "),
    faults={
        "caller": error(400, "invalid_request"),
        "moderated": error(422, "content_violation"),
        "credential": error(401, "invalid_token"),
        "balance": error(402, "insufficient_balance"),
        "rate": error(429, "rate_limit_exceeded", f"Retry-After: {RETRY_AFTER_S}"),
        "vendor": error(503, "rate_limit_unavailable"),
    },
    submits={"POST /images/generations": submit, "POST /videos/generations": submit},
    accepted=told,
    polls={"GET /images/generations/(?P<id>[^/]+)": told, "GET /videos/generations/(?P<id>[^/]+)": told},
    lost=error(404, "task_not_found"),
)
