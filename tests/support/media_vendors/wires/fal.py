"""fal's queue."""

from typing import Any

from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok

STATES = {"queued": "IN_QUEUE", "running": "IN_PROGRESS", "odd": "DREAMING"}


def detail(kind: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", "prompt"], "msg": WORDS, "type": kind, "url": "", "ctx": {}, "input": ""}]}


def place(task: Task) -> str:
    owner, app = task.asked.found["app"].split("/")[:2]
    return f"{task.asked.base}/{owner}/{app}/requests/{task.id}"


def accepted(task: Task) -> Reply:
    urls = {"status_url": place(task) + "/status", "response_url": place(task), "cancel_url": place(task) + "/cancel"}
    return ok({"request_id": task.id, "gateway_request_id": task.id, "status": "IN_QUEUE", "queue_position": 0, **urls})


def told(task: Task) -> Reply:
    if task.state == "lost":
        return WIRE.lost
    if task.state == "mute":
        return ok({"request_id": task.id})
    state = STATES.get(task.state, "COMPLETED")
    body: dict[str, Any] = {"status": state, "request_id": task.id}
    if task.state == "failed" and task.polls % 2:
        body |= {"error": WORDS, "error_type": "runner_error"}
    return (200 if state == "COMPLETED" else 202), body, ()


def result(task: Task) -> Reply:
    if task.state in ("queued", "running"):
        return 400, {"detail": "Request is still in progress"}, ()
    if task.state == "moderated":
        return 422, detail("content_policy_violation"), ()
    if task.state in ("failed", "cancelled"):
        return 500, {"detail": WORDS}, ()
    if task.state == "empty":
        return ok({"images": [], "seed": 7})
    if "duration" in task.asked.json:
        return ok({"video": {"url": task.url("mp4"), "content_type": "video/mp4", "file_size": 36}})
    image = {"url": task.url("png"), "width": 1, "height": 1, "content_type": "image/png"}
    return ok({"images": [image] * task.asked.json.get("num_images", 1), "seed": 7, "has_nsfw_concepts": [False]})


def submit(asked: Asked) -> str:
    return lacks(asked, "prompt")


REQUEST = "/[^/]+/[^/]+/requests/(?P<id>[^/]+)"
WIRE = Wire(
    name="fal",
    credential=("authorization", "Key "),
    faults={
        "caller": (422, detail("value_error"), ()),
        "moderated": (422, detail("content_policy_violation"), ()),
        "credential": (401, {"detail": WORDS}, ()),
        "rate": (429, {"detail": WORDS}, (f"retry-after: {RETRY_AFTER_S}",)),
        "vendor": (500, {"detail": WORDS}, ()),
    },
    submits={"POST /(?P<app>[a-z-]+/.+)": submit},
    accepted=accepted,
    polls={f"GET {REQUEST}/status": told},
    results={f"GET {REQUEST}": result},
    cancels={f"PUT {REQUEST}/cancel": lambda task: (202, {"status": "CANCELLATION_REQUESTED"}, ())},
    lost=(404, {"status": "NOT_FOUND"}, ()),
)
