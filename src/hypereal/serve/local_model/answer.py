"""What the engine answers, made whole: it leaves out or names otherwise some members that official clients need.

Every answer gets the caller's model id. Messages: ids begin with `msg_`, and all members of `usage` are there.
Responses: each event is numbered and says where it belongs, the response has all its members, and one that ended at
the caller's own limit is `incomplete` (OpenAI API reference, Responses streaming events).
"""

import time
from typing import Any

from hypereal.kit.dialects import Dialect
from hypereal.serve.local_model.prompt import Asked

CACHE_USAGE = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
RESPONSE: dict[str, Any] = {
    "object": "response",
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "output": [],
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "usage": None,
}


class Answer:
    """Completes the answer to one call."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._created_at = int(time.time())
        self._events = 0
        self._item_ids: list[str] = []

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """An answer that is not a stream."""
        body.pop("timings", None)
        match self._asked.dialect:
            case Dialect.ANTHROPIC_MESSAGES:
                return self._message(body)
            case Dialect.OPENAI_RESPONSES:
                return self._response(body)
            case _:
                return body | {"model": self._asked.model}

    def event(self, event: dict[str, Any]) -> dict[str, Any]:
        """One event of a stream. In Messages and Responses its `type` is also the name of the event."""
        event.pop("timings", None)
        match self._asked.dialect:
            case Dialect.ANTHROPIC_MESSAGES:
                return event | {"message": self._message(event["message"])} if "message" in event else event
            case Dialect.OPENAI_RESPONSES:
                return self._response_event(event)
            case _:
                return event | {"model": self._asked.model}

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        name = "msg_" + str(message["id"]).rpartition("-")[2]
        return message | {"id": name, "model": self._asked.model, "usage": CACHE_USAGE | message["usage"]}

    def _response_event(self, event: dict[str, Any]) -> dict[str, Any]:
        event["sequence_number"] = self._events
        self._events += 1
        if "response" in event:
            event["response"] = self._response(event["response"])
            if event["response"]["status"] == "incomplete":
                event["type"] = "response.incomplete"
        item_id = event.get("item_id") or event.get("item", {}).get("id")
        if item_id is not None:
            if item_id not in self._item_ids:
                self._item_ids.append(item_id)
            event["output_index"] = self._item_ids.index(item_id)
        if "item_id" in event:
            event["content_index"] = 0
        if event["type"].startswith("response.output_text."):
            event["logprobs"] = []
        if "part" in event:
            event["part"] = {"annotations": []} | event["part"]
        return event

    def _response(self, response: dict[str, Any]) -> dict[str, Any]:
        known = {"created_at": self._created_at, "max_output_tokens": None}
        if self._asked.is_callers_limit:
            known["max_output_tokens"] = self._asked.output_tokens_max
        response = RESPONSE | known | response | {"model": self._asked.model}
        usage = response["usage"]
        if usage is not None:
            response["usage"] = {"output_tokens_details": {"reasoning_tokens": 0}} | usage
            if self._asked.is_callers_limit and usage["output_tokens"] >= self._asked.output_tokens_max:
                response |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        return response
