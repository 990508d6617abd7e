"""Replicate."""

from typing import Any

from tests.support.media_vendors.wire import WORDS, Asked, Reply, Task, Wire, ok


def problem(status: int, detail: str) -> Reply:
    return status, {"type": "about:blank", "title": "Problem", "status": status, "detail": detail}, ()


STATES = {
    "queued": "starting",
    "running": "processing",
    "done": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
}
STATES |= {"lost": "succeeded", "odd": "dreaming", "empty": "succeeded"}


def told(task: Task) -> Reply:
    place = f"{task.asked.base}/predictions/{task.id}"
    body: dict[str, Any] = {
        "id": task.id,
        "status": STATES.get(task.state),
        "output": None,
        "error": WORDS if task.state == "failed" else None,
        "data_removed": task.state == "lost",
        "urls": {"get": place, "cancel": place + "/cancel", "web": "https://replicate.com/p/x"},
    }
    if task.state == "mute":
        del body["status"]
    if task.state == "done":
        is_video = "duration" in task.asked.json["input"]
        url = task.url("mp4" if is_video else "png")
        body["output"] = url if is_video else [url]
    return (201 if task.polls == 0 else 200), body, ()


def submit(asked: Asked) -> str:
    return "" if asked.json.get("input", {}).get("prompt") else "missing input.prompt"


WIRE = Wire(
    name="replicate",
    credential=("authorization", "Bearer "),
    faults={
        "caller": problem(422, WORDS),
        "credential": problem(401, WORDS),
        "balance": problem(402, WORDS),
        "rate": problem(429, "Request was throttled. Your rate limit resets in ~7s."),
        "vendor": problem(500, WORDS),
    },
    submits={"POST /models/[^/]+/[^/]+/predictions": submit, "POST /predictions": submit},
    accepted=told,
    polls={"GET /predictions/(?P<id>[^/]+)": told},
    cancels={"POST /predictions/(?P<id>[^/]+)/cancel": lambda task: ok({"id": task.id, "status": "canceled"})},
    lost=problem(404, WORDS),
)
