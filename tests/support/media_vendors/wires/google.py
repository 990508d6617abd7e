"""Google's Gemini API: images, Imagen, Veo."""

import base64
from typing import Any

from tests.support.media_vendors.vendor_files import MP4, PNG
from tests.support.media_vendors.wire import WORDS, Asked, Reply, Task, Wire, ok


def error(status: int, name: str, details: list[Any] | None = None) -> Reply:
    return status, {"error": {"code": status, "message": WORDS, "status": name, "details": details or []}}, ()


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaMetric": "m", "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
FAULTS = {
    "caller": error(400, "INVALID_ARGUMENT"),
    "credential": error(400, "INVALID_ARGUMENT", [{"@type": "t/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]),
    "balance": error(429, "RESOURCE_EXHAUSTED", [PER_DAY, RETRY]),
    "rate": error(429, "RESOURCE_EXHAUSTED", [RETRY]),
    "vendor": error(503, "UNAVAILABLE"),
}
BLOCKED = ok({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})


def image(asked: Asked) -> Reply:
    body = asked.json
    parts = body["contents"][0]["parts"]
    if not parts[0].get("text") or "IMAGE" not in body["generationConfig"]["responseModalities"]:
        return FAULTS["caller"]
    if "no" in parts[0]["text"].split():
        return ok({"candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "IMAGE_SAFETY"}]})
    if "talk" in parts[0]["text"].split():
        return ok({"candidates": [{"content": {"parts": [{"text": "I would rather talk."}]}, "finishReason": "STOP"}]})
    drawn = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
    said = [{"text": "thinking"}, {**drawn, "thought": True}, {"text": "Here it is."}, drawn]
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300}
    return ok(
        {"candidates": [{"content": {"role": "model", "parts": said}, "finishReason": "STOP"}], "usageMetadata": usage}
    )


def imagen(asked: Asked) -> Reply:
    count = asked.json["parameters"].get("sampleCount", 1)
    drawn = {"bytesBase64Encoded": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
    if "no" in asked.json["instances"][0]["prompt"].split():
        return ok({"predictions": [{"raiFilteredReason": WORDS}]})
    return ok({"predictions": [drawn] * count})


def veo(asked: Asked) -> str:
    instance = asked.json["instances"][0]
    images = [instance[name] for name in ("image", "lastFrame") if name in instance]
    images += [one["image"] for one in instance.get("referenceImages", ())]
    is_whole = all(one.get("bytesBase64Encoded") and one.get("mimeType") for one in images)
    return "" if instance.get("prompt") and is_whole else "missing"


def operation(task: Task) -> Reply:
    if task.state == "lost":
        return WIRE.lost
    body: dict[str, Any] = {"name": f"models/veo-3.1-generate-preview/operations/{task.id}"}
    if task.state == "mute":
        return ok({})
    if task.state in ("failed", "cancelled"):
        body |= {"done": True, "error": {"code": 13, "message": WORDS}}
    if task.state == "moderated":
        filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [WORDS]}
        body |= {"done": True, "response": {"generateVideoResponse": filtered}}
    if task.state == "empty":
        body |= {"done": True, "response": {"generateVideoResponse": {}}}
    if task.state == "done":
        uri = f"{task.asked.base}/v1beta/files/{task.id}:download?alt=media"
        body |= {"done": True, "response": {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}}}
    return ok(body)


def accepted(task: Task) -> Reply:
    return ok({"name": f"models/veo-3.1-generate-preview/operations/{task.id}"})


WIRE = Wire(
    name="google",
    credential=("x-goog-api-key", ""),
    faults=FAULTS,
    within_ok={"moderated": BLOCKED},
    directs={
        r"POST /v1beta/models/gemini[^/:]*:generateContent": image,
        r"POST /v1beta/models/imagen[^/:]*:predict": imagen,
    },
    submits={r"POST /v1beta/models/veo[^/:]*:predictLongRunning": veo},
    accepted=accepted,
    polls={"GET /v1beta/models/[^/]+/operations/(?P<id>[^/]+)": operation},
    results={"GET /v1beta/files/(?P<id>[^/:]+):download": lambda task: ok(("video/mp4", MP4))},
    lost=error(404, "NOT_FOUND"),
)
