"""Black Forest Labs."""

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok

VALIDATION = {"detail": [{"loc": ["body", "prompt"], "msg": WORDS, "type": "missing"}]}
STATES = {
    "queued": "Pending",
    "running": "Pending",
    "done": "Ready",
    "failed": "Error",
    "moderated": "Content Moderated",
}
STATES |= {"lost": "Task not found", "cancelled": "Error", "odd": "Dreaming", "empty": "Ready"}


def accepted(task: Task) -> Reply:
    return ok({"id": task.id, "polling_url": f"{task.asked.base}/v1/get_result?id={task.id}", "cost": 3.0})


def told(task: Task) -> Reply:
    body = {"id": task.id, "status": STATES.get(task.state), "result": None, "progress": task.progress, "details": None}
    if task.state == "mute":
        del body["status"]
    if task.state == "done":
        body["result"] = {"sample": task.url("png"), "seed": 7, "duration": 1.2}
    if task.state == "moderated":
        body["details"] = {"Moderation Reasons": [WORDS]}
        return 503, body, ()
    return ok(body)


def submit(asked: Asked) -> str:
    return lacks(asked, "prompt")


WIRE = Wire(
    name="bfl",
    credential=("x-key", ""),
    faults={
        "caller": (422, VALIDATION, ()),
        "credential": (403, {"detail": "Not authenticated"}, ()),
        "balance": (402, {"detail": "Insufficient credits"}, ()),
        "rate": (429, {"detail": "Too many active tasks"}, (f"retry-after: {RETRY_AFTER_S}",)),
        "vendor": (500, {"detail": "Internal"}, ()),
    },
    submits={"POST /v1/flux-[a-z0-9.-]+": submit},
    accepted=accepted,
    polls={"GET /v1/get_result": told},
    lost=(404, {"id": "", "status": "Task not found", "result": None}, ()),
)
