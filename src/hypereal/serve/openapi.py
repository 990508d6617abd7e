"""`/openapi.json`: the routes that are served, told to machines. The formats themselves are their vendors'."""

from typing import Any

import hypereal

BODY_FIELDS = {
    "/v1/chat/completions": ("model", "messages"),
    "/v1/messages": ("model", "messages", "max_tokens"),
    "/v1/messages/count_tokens": ("model", "messages"),
    "/v1/responses": ("model", "input"),
    "/v1/codex/responses": ("model", "input"),
    "/v1/gemini": ("model",),
    "/v1beta/models/{model}:generateContent": ("contents",),
    "/v1beta/models/{model}:streamGenerateContent": ("contents",),
    "/v1beta/models/{model}:countTokens": ("contents",),
}
"""Path -> the members that its body must have; every other member of the format passes."""
SUMMARIES = {
    "/v1/chat/completions": "OpenAI Chat Completions, streaming and not.",
    "/v1/messages": "Anthropic Messages, streaming and not.",
    "/v1/messages/count_tokens": "The tokens of a Messages body. Free.",
    "/v1/responses": "OpenAI Responses, streaming and not.",
    "/v1/codex/responses": "OpenAI Responses, as Codex asks for them.",
    "/v1/gemini": "Gemini, or OpenAI chat by its shape, with the model in the body.",
    "/v1beta/models/{model}:generateContent": "Gemini, one answer.",
    "/v1beta/models/{model}:streamGenerateContent": "Gemini, a stream: events with `alt=sse`, else one JSON array.",
    "/v1beta/models/{model}:countTokens": "The tokens of a Gemini body. Free.",
    "/v1/models": "The models, in the shape of the client that asks. Free.",
    "/v1/models/{model}": "One model. Free.",
    "/healthz": "This server answers.",
    "/readyz": "Whether calls can be served: 200, or 503 and what is missing.",
    "/metrics": "Prometheus metrics, for this machine or with the operator's token.",
}
OPEN = ("/healthz", "/readyz", "/metrics")
"""Asked for without a key."""
ERRORS = {
    "400": "The request is wrong; an unknown model lists `available_models`.",
    "401": "No key, or not one of ours, or expired.",
    "402": "Not enough credits, or the key's monthly limit is used up.",
    "403": "The key may not call this model.",
    "413": "The body is too large.",
    "429": "Over the rate limit; `Retry-After` says how long.",
    "502": "Every target of the model failed.",
    "503": "Overloaded, here or at every target.",
}


def document() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hypereal", "version": hypereal.__version__, "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}, {"x-api-key": []}, {"x-goog-api-key": []}, {"key": []}],
        "paths": {path: _path(path) for path in SUMMARIES},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
                "key": {"type": "apiKey", "in": "query", "name": "key"},
            },
            "schemas": {"Error": _ERROR},
        },
    }


def _path(path: str) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": SUMMARIES[path], "responses": {"200": {"description": "The answer."}}}
    if "{model}" in path:
        model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
        operation["parameters"] = [model]
    if path in OPEN:
        operation["security"] = []
    else:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        refusals = {status: {"description": text, "content": content} for status, text in ERRORS.items()}
        operation["responses"] |= refusals
    if path not in BODY_FIELDS:
        return {"get": operation}
    schema = {"type": "object", "required": list(BODY_FIELDS[path]), "additionalProperties": True}
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"post": operation}


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "additionalProperties": True,
        }
    },
    "additionalProperties": True,
}
