"""Google's own schema as JSON Schema. It is the one of OpenAPI 3.0, with types in upper case."""

from typing import Any

from hypereal.wire.bridges.gemini_to_chat.spelling import camel
from hypereal.wire.folding.decoding import mapping

_COUNTS = {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
"""64-bit numbers, which Google's JSON may print as strings."""
_LEFT_OUT = {"propertyOrdering", "nullable", "example"}
_NAMES = {"defs": "$defs", "ref": "$ref"}


def json_schema(schema: Any) -> Any:
    """SCHEMA as JSON Schema; values in it (`default`, `enum`) and names of properties are left alone."""
    if not isinstance(schema, dict):
        return schema
    schema = camel(schema)
    made = {_NAMES.get(name, name): _member(name, item) for name, item in schema.items() if name not in _LEFT_OUT}
    if schema.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
    return made


def _member(name: str, item: Any) -> Any:
    match name:
        case "type":
            return item.lower() if isinstance(item, str) else item
        case "properties" | "defs" | "$defs":
            return {key: json_schema(inner) for key, inner in mapping(item).items()}
        case "items" | "additionalProperties" | "not":
            return json_schema(item)
        case "anyOf" | "oneOf" | "allOf" | "prefixItems":
            return [json_schema(inner) for inner in item] if isinstance(item, list) else item
        case _ if name in _COUNTS and isinstance(item, str) and item.isascii() and item.isdigit() and len(item) < 20:
            return int(item)
    return item
