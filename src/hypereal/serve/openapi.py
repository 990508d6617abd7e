"""`/openapi.json`: the routes that are served, told to machines. The formats themselves are their vendors'."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

import hypereal
from hypereal.kit.access import ApiRoute, LinkRoute

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

API_ERRORS = {
    "400": "The request is wrong; `error.param` names the field.",
    "401": ERRORS["401"],
    "403": "The key may not do this: see its scopes.",
    "404": "There is no such thing of this account's.",
    "429": ERRORS["429"],
    "503": "The database does not answer at the moment.",
}


def document(api: Iterable[ApiRoute], links: Iterable[LinkRoute] = ()) -> dict[str, Any]:
    """The whole document, OpenAPI 3.1. API and LINKS are the routes of the control process."""
    paths = {path: _path(path) for path in SUMMARIES}
    shapes: list[type[msgspec.Struct]] = []
    for route in api:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
        shapes += [route.body] if route.body is not None else []
    for link in links:
        paths[link.path] = {link.methods[0].lower(): _linked(link)}
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hypereal", "version": hypereal.__version__, "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}, {"x-api-key": []}, {"x-goog-api-key": []}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
                "key": {"type": "apiKey", "in": "query", "name": "key"},
            },
            "schemas": {"Error": _ERROR, **schemas},
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
        operation["responses"] |= _refusals(ERRORS)
    if path not in BODY_FIELDS:
        return {"get": operation}
    schema = {"type": "object", "required": list(BODY_FIELDS[path]), "additionalProperties": True}
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"post": operation}


def _operation(route: ApiRoute) -> dict[str, Any]:
    named = _in_path(route.path)
    queries = [] if route.query is None else msgspec.structs.fields(route.query)
    asked = [{"name": field.encode_name, "in": "query", "schema": msgspec.json.schema(field.type)} for field in queries]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": named + asked,
        "responses": {str(route.status): {"description": "The answer."}, **_refusals(API_ERRORS)},
    }
    if route.body is not None:
        schema = {"$ref": f"#/components/schemas/{route.body.__name__}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _linked(route: LinkRoute) -> dict[str, Any]:
    return {
        "summary": route.summary,
        "security": [],
        "parameters": _in_path(route.path),
        "responses": {
            "200": {"description": "The answer."},
            **_refusals({"403": "The link has ended, or was changed.", "404": API_ERRORS["404"]}),
        },
    }


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _refusals(errors: dict[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": text, "content": content} for status, text in errors.items()}


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
