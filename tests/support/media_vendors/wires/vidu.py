"""Vidu."""

from typing import Any

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok


def error(status: int, reason: str, *fields: str) -> Reply:
    return status, {"code": status, "reason": reason, "message": WORDS, "metadata": {"trace_id": "t-1"}}, fields


STATES = {"queued": "queueing", "running": "processing", "done": "success", "failed": "failed", "moderated": "failed"}
STATES |= {"cancelled": "failed", "odd": "dreaming", "empty": "success"}
IMAGES = {"text2video": (0, 0), "img2video": (1, 1), "start-end2video": (2, 2), "reference2video": (1, 7)}


def submit(asked: Asked) -> str:
    least, most = IMAGES[asked.found["kind"]]
    count = len(asked.json.get("images") or ())
    return lacks(asked, "model") or ("" if least <= count <= most else "count of images")


def accepted(task: Task) -> Reply:
    return ok({"task_id": task.id, "state": "created", "model": task.asked.json["model"], "credits": 20})


def told(task: Task) -> Reply:
    if task.state == "lost":
        return WIRE.lost
    body: dict[str, Any] = {
        "id": task.id,
        "state": STATES.get(task.state),
        "err_code": "",
        "credits": 20,
        "creations": [],
    }
    if task.state == "mute":
        del body["state"]
    if task.state == "done":
        body["creations"] = [{"id": "c-1", "url": task.url("mp4"), "cover_url": task.url("png")}]
    if task.state == "failed":
        body["err_code"] = "SystemError"
    if task.state == "moderated":
        body["err_code"] = "CreationPolicyViolation"
    return ok(body)


def cancelled(task: Task) -> Reply:
    return ok({})


WIRE = Wire(
    name="vidu",
    credential=("authorization", "Token "),
    faults={
        "caller": error(400, "FieldInvalid"),
        "moderated": error(400, "TaskPromptPolicyViolation"),
        "credential": error(401, "Unauthorized"),
        "balance": error(400, "CreditInsufficient"),
        "rate": error(429, "QuotaExceeded", f"retry-after: {RETRY_AFTER_S}"),
        "vendor": error(500, "SystemError"),
    },
    submits={"POST /ent/v2/(?P<kind>text2video|img2video|start-end2video|reference2video)": submit},
    accepted=accepted,
    polls={"GET /ent/v2/tasks/(?P<id>[^/]+)/creations": told},
    cancels={"POST /ent/v2/tasks/(?P<id>[^/]+)/cancel": cancelled},
    lost=error(404, "NotFound"),
)
