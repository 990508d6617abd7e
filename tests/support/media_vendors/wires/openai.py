"""OpenAI: images, edits, videos, speech, transcriptions."""

import base64

from tests.support.media_vendors.vendor_files import MP3, MP4, PNG
from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Task, Wire, lacks, ok


def error(status: int, code: str, kind: str, *fields: str) -> Reply:
    return status, {"error": {"message": WORDS, "type": kind, "param": None, "code": code}}, fields


FAULTS = {
    "caller": error(400, "invalid_value", "invalid_request_error"),
    "moderated": error(400, "moderation_blocked", "image_generation_user_error"),
    "credential": error(401, "invalid_api_key", "invalid_request_error"),
    "balance": error(429, "insufficient_quota", "insufficient_quota"),
    "rate": error(429, "rate_limit_exceeded", "requests", f"retry-after: {RETRY_AFTER_S}"),
    "vendor": error(500, "server_error", "server_error"),
}


def images(asked: Asked) -> Reply:
    if lacks(asked, "model", "prompt") or "response_format" in asked.json:
        return FAULTS["caller"]
    return drawn(asked.json.get("n", 1))


def edits(asked: Asked) -> Reply:
    form = asked.form
    if (
        not form.get("image[]")
        or not form["prompt"][0]
        or not all(file.startswith(b"\x89PNG") for file in form["image[]"])
    ):
        return FAULTS["caller"]
    return drawn(int(form.get("n", [b"1"])[0]))


def drawn(n: int) -> Reply:
    images = [{"b64_json": base64.b64encode(PNG).decode(), "revised_prompt": "a better prompt"}] * n
    usage = {"input_tokens": 10, "output_tokens": 90, "total_tokens": 100}
    return ok({"created": 1767225600, "data": images, "usage": usage, "output_format": "png"})


def speech(asked: Asked) -> Reply:
    return FAULTS["caller"] if lacks(asked, "model", "input", "voice") else ok(("audio/mpeg", MP3))


def transcription(asked: Asked) -> Reply:
    form = asked.form
    if not form.get("file") or not form.get("model"):
        return FAULTS["caller"]
    if form["response_format"] == [b"json"]:
        return ok({"text": "Hello there. Bye.", "usage": {"type": "tokens", "total_tokens": 44}})
    segments = [
        {"id": 0, "start": 0.0, "end": 1.5, "text": " Hello there."},
        {"id": 1, "start": 1.5, "end": 2.5, "text": " Bye."},
    ]
    return ok(
        {
            "task": "transcribe",
            "language": "english",
            "duration": 2.5,
            "text": "Hello there. Bye.",
            "segments": segments,
        }
    )


def video_submit(asked: Asked) -> str:
    is_form = str(asked.recorded.get("content-type")).startswith("multipart/")
    if is_form:
        return "" if asked.form.get("prompt") and asked.form.get("input_reference") else "missing"
    seconds = asked.json.get("seconds")
    return lacks(asked, "prompt") or ("" if seconds is None or isinstance(seconds, str) else "seconds is text")


def video(task: Task) -> Reply:
    states = {
        "queued": "queued",
        "running": "in_progress",
        "done": "completed",
        "failed": "failed",
        "moderated": "failed",
    }
    states |= {"cancelled": "failed", "odd": "dreaming", "empty": "completed"}
    body = {
        "id": task.id,
        "object": "video",
        "model": "sora-2",
        "status": states.get(task.state),
        "progress": round((task.progress or 0) * 100),
        "seconds": "8",
        "size": "1280x720",
        "error": None,
    }
    if task.state == "failed":
        body["error"] = {"code": "video_generation_failed", "message": WORDS}
    if task.state == "moderated":
        body["error"] = {"code": "moderation_blocked", "message": WORDS}
    if task.state == "mute":
        del body["status"]
    return (404, FAULTS["caller"][1], ()) if task.state == "lost" else ok(body)


WIRE = Wire(
    name="openai",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    directs={
        "POST /images/generations": images,
        "POST /images/edits": edits,
        "POST /audio/speech": speech,
        "POST /audio/transcriptions": transcription,
    },
    submits={"POST /videos": video_submit},
    accepted=video,
    polls={"GET /videos/(?P<id>[^/]+)": video},
    results={"GET /videos/(?P<id>[^/]+)/content": lambda task: ok(("video/mp4", MP4))},
    cancels={
        "DELETE /videos/(?P<id>[^/]+)": lambda task: ok({"id": task.id, "object": "video.deleted", "deleted": True})
    },
    lost=error(404, "not_found", "invalid_request_error"),
)
