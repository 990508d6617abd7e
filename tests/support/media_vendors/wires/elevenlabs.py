"""ElevenLabs."""

from tests.support.media_vendors.vendor_files import MP3
from tests.support.media_vendors.wire import RETRY_AFTER_S, WORDS, Asked, Reply, Wire, lacks, ok


def error(status: int, name: str, *fields: str) -> Reply:
    return status, {"detail": {"status": name, "message": WORDS}}, fields


FAULTS = {
    "caller": (422, {"detail": [{"loc": ["body", "text"], "msg": WORDS, "type": "missing"}]}, ()),
    "credential": error(401, "invalid_api_key"),
    "balance": error(401, "quota_exceeded"),
    "rate": error(429, "too_many_concurrent_requests", f"retry-after: {RETRY_AFTER_S}"),
    "vendor": error(500, "internal"),
}


def speech(asked: Asked) -> Reply:
    is_known = asked.query.get("output_format") in ("mp3_44100_128", "wav_44100", "pcm_24000", "opus_48000_128")
    return ok(("audio/mpeg", MP3)) if is_known and not lacks(asked, "text", "model_id") else FAULTS["caller"]


def heard(asked: Asked) -> Reply:
    if not asked.form.get("file") or not asked.form.get("model_id"):
        return FAULTS["caller"]
    told = [("Hello", 0.0, 0.5, "word"), (" ", 0.5, 0.6, "spacing"), ("there.", 0.6, 1.5, "word")]
    told += [(" ", 1.5, 1.6, "spacing"), ("Bye.", 1.6, 2.5, "word")]
    words = [
        {"text": text, "start": start, "end": end, "type": kind, "speaker_id": "s1"} for text, start, end, kind in told
    ]
    return ok({"language_code": "eng", "language_probability": 1.0, "text": "Hello there. Bye.", "words": words})


WIRE = Wire(
    name="elevenlabs",
    credential=("xi-api-key", ""),
    faults=FAULTS,
    directs={"POST /v1/text-to-speech/[^/]+/stream": speech, "POST /v1/speech-to-text": heard},
)
