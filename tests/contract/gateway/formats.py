"""The four formats as a test of faults needs them: where a call goes, what an answer looks like, what fails in-band."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support import vendors
from tests.support.server import MARK


@dataclass(frozen=True, eq=False)
class Format:
    """One dialect, spoken by callers and upstreams alike."""

    name: str
    path: str
    """`{model}` and `{method}` stand for Gemini's."""
    body: dict[str, Any]
    whole: Callable[..., dict[str, Any]]
    events: Callable[..., list[bytes]]
    announcements: int
    """How many events of a stream come before its first content."""
    sign_of_life: bytes
    """What an upstream sends that has nothing to say yet."""
    error: bytes
    """An error as an event of a stream."""
    cost: int
    """Of a usual answer at PRICE, in micro-credits."""

    def call(self, model: str, *, is_stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body of a call."""
        if self.name == "gemini":
            method = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
            return self.path.format(model=model, method=method), self.body
        asks = {"stream_options": {"include_usage": True}} if is_stream and self.name == "chat" else {}
        return self.path, {**self.body, "model": model, "stream": is_stream, **asks}

    def stream(self, mark: bytes, **made: Any) -> list[bytes]:
        """The events of a correct answer. MARK stands in each of its ids, so that it can be told from another's."""
        return [_marked(event, mark) for event in self.events(**made)]

    def answer(self, mark: bytes, **made: Any) -> bytes:
        """The same answer in one piece."""
        return _marked(vendors.encode(self.whole(**made)), mark)

    def said(self, body: bytes) -> Any:
        """What an upstream said in BODY: all of it, but for what we tell of the vendor's cache in Messages."""
        if self.name != "messages":
            return body
        if body.startswith(b"{"):
            return _without_report(body)
        return [_without_report(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]


def _without_report(payload: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(payload).items() if name != "hypereal"}


def _marked(payload: bytes, mark: bytes) -> bytes:
    for name in IDS:
        payload = payload.replace(b'"%s"' % name, b'"%s-%s"' % (name, mark))
    return payload


IDS = (b"chatcmpl-1", b"resp_1", b"msg_1", b"r-1", b"up-1")
PRICE = "{ input = 1.0, output = 10.0, cache_read = 0.1, cache_write = 1.25, cache_write_1h = 2.0 }"

CHAT = Format(
    name="chat",
    path="/v1/chat/completions",
    body={"messages": [{"role": "user", "content": MARK}]},
    whole=vendors.chat_answer,
    events=vendors.chat_events,
    announcements=1,
    sign_of_life=b": wait\n\n",
    error=vendors.event({"error": {"message": "a fault", "type": "server_error", "code": None}}),
    cost=264_000,
)
MESSAGES = Format(
    name="messages",
    path="/v1/messages",
    body={"messages": [{"role": "user", "content": MARK}], "max_tokens": 999},
    whole=vendors.messages_answer,
    events=vendors.messages_events,
    announcements=1,
    sign_of_life=vendors.event({"type": "ping"}, "ping"),
    error=vendors.event({"type": "error", "error": {"type": "api_error", "message": "a fault"}}, "error"),
    cost=269_500,
)
RESPONSES = Format(
    name="responses",
    path="/v1/responses",
    body={"input": MARK},
    whole=vendors.responses_answer,
    events=vendors.responses_events,
    announcements=2,
    sign_of_life=vendors.event({"type": "keepalive", "sequence_number": 3}, "keepalive"),
    error=vendors.event(
        {
            "type": "response.failed",
            "sequence_number": 4,
            "response": {
                "id": "resp_1",
                "object": "response",
                "status": "failed",
                "error": {"code": "server_error", "message": "a fault"},
                "output": [],
                "usage": None,
            },
        },
        "response.failed",
    ),
    cost=264_000,
)
GEMINI = Format(
    name="gemini",
    path="/v1beta/models/{model}:{method}",
    body={"contents": [{"role": "user", "parts": [{"text": MARK}]}]},
    whole=vendors.gemini_answer,
    events=vendors.gemini_events,
    announcements=0,
    sign_of_life=vendors.event({"candidates": [{"content": {"role": "model", "parts": []}, "index": 0}]}),
    error=vendors.event({"error": {"code": 500, "message": "a fault", "status": "INTERNAL"}}),
    cost=264_000,
)
FORMATS: Sequence[Format] = (CHAT, MESSAGES, RESPONSES, GEMINI)
