"""Fish Audio."""

import msgspec
from tests.support.media_vendors.vendor_files import MP3
from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Wire, ok


def error(status: int, *fields: str) -> Reply:
    return status, {"status": status, "message": WORDS}, fields


FAULTS = {
    "caller": error(422),
    "credential": error(401),
    "balance": error(402),
    "rate": error(429, f"retry-after: {RETRY_AFTER_S}"),
    "vendor": error(500),
}


def speech(asked: Asked) -> Reply:
    if asked.recorded.get("content-type") == "application/msgpack":
        body = msgspec.msgpack.decode(asked.recorded.body)
        if not all(isinstance(one["audio"], bytes) and one["audio"] for one in body["references"]):
            return FAULTS["caller"]
    else:
        body = asked.json
    return ok(("audio/mpeg", MP3)) if body.get("text") and asked.recorded.get("model") else FAULTS["caller"]


def heard(asked: Asked) -> Reply:
    if not asked.form.get("audio"):
        return FAULTS["caller"]
    segments = [{"text": "Hello there.", "start": 0.0, "end": 1.5}, {"text": "Bye.", "start": 1.5, "end": 2.5}]
    return ok({"text": "Hello there. Bye.", "duration": 2.5, "segments": segments, "language_code": "en"})


WIRE = Wire(
    name="fish",
    credential=("authorization", "Bearer "),
    faults=FAULTS,
    directs={"POST /v1/tts": speech, "POST /v1/asr": heard},
)
