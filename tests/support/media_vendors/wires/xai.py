"""xAI: Grok Imagine."""

from typing import Any

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok

FAULTS: dict[str, Reply] = {
    "caller": (400, {"code": "Client specified an invalid argument", "error": WORDS}, ()),
    "credential": (401, {"error": WORDS}, ()),
    "balance": (402, {"error": {"message": WORDS, "type": "x", "param": None, "code": None}}, ()),
    "rate": (429, {"error": WORDS}, (f"retry-after: {RETRY_AFTER_S}",)),
    "vendor": (500, {"code": "Internal", "error": WORDS}, ()),
}


def images(asked: Asked) -> Reply:
    if lacks(asked, "model", "prompt"):
        return FAULTS["caller"]
    if asked.recorded.path.endswith("/edits") and not ("image" in asked.json or "images" in asked.json):
        return FAULTS["caller"]
    is_allowed = "no" not in asked.json["prompt"].split()
    url = f"{asked.origin}/files/drawn.png"
    return ok({"data": [{"url": url, "revised_prompt": "a better prompt", "respect_moderation": is_allowed}]})


def told(task: Task) -> Reply:
    if task.state == "lost":
        return ok({"status": "expired"})
    if task.state in ("queued", "running"):
        return 202, {"status": "pending", "progress": round((task.progress or 0) * 100)}, ()
    if task.state in ("failed", "cancelled"):
        return ok({"status": "failed", "error": {"code": "internal", "message": WORDS}})
    if task.state == "odd":
        return ok({"status": "dreaming"})
    if task.state in ("empty", "mute"):
        return ok({"status": "done"} if task.state == "empty" else {"model": "grok-imagine-video"})
    video: dict[str, Any] = {"url": task.url("mp4"), "duration": 6}
    return ok({"status": "done", "video": video | {"respect_moderation": task.state != "moderated"}})


def accepted(task: Task) -> Reply:
    return ok({"request_id": task.id})


def submit(asked: Asked) -> str:
    return lacks(asked, "model", "prompt")


WIRE = Wire(
    name="xai",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    directs={"POST /images/(generations|edits)": images},
    submits={"POST /videos/generations": submit},
    accepted=accepted,
    polls={"GET /videos/(?P<id>[^/]+)": told},
    lost=(404, {"code": "Some requested entity was not found", "error": WORDS}, ()),
)
