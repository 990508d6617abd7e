"""What a request needs of a model beside reading text: for choosing one where the caller names an intent."""

from collections.abc import Mapping

from hypereal.kit.dialects import Dialect
from hypereal.wire.members import NULL, Fields
from hypereal.wire.request import Request

_IMAGES: Mapping[Dialect, tuple[str, tuple[bytes, ...]]] = {
    Dialect.OPENAI_CHAT: ("messages", (b'"image_url"',)),
    Dialect.OPENAI_RESPONSES: ("input", (b'"input_image"',)),
    Dialect.ANTHROPIC_MESSAGES: ("messages", (b'"image"',)),
    Dialect.GEMINI: ("contents", (b'"inlineData"', b'"inline_data"', b'"fileData"', b'"file_data"')),
}
"""The member that may hold images, and what stands there where it does: in a text its quotes would be escaped."""
_SCHEMAS: Mapping[Dialect, tuple[tuple[str, ...], tuple[bytes, ...]]] = {
    Dialect.OPENAI_CHAT: (("response_format",), (b'"json_schema"',)),
    Dialect.OPENAI_RESPONSES: (("text",), (b'"json_schema"',)),
    Dialect.ANTHROPIC_MESSAGES: (("output_config", "output_format"), (b'"json_schema"',)),
    Dialect.GEMINI: (
        ("generationConfig", "generation_config"),
        (b'"responseSchema"', b'"response_schema"', b'"responseJsonSchema"', b'"response_json_schema"'),
    ),
}


def needs_of(request: Request) -> frozenset[str]:
    """Of 'tools', 'vision' and 'json_schema', those without which REQUEST cannot be answered."""
    fields = request.fields
    needs = set()
    if bytes(fields.get("tools", NULL)) not in (b"null", b"[]"):
        needs.add("tools")
    member, signs = _IMAGES[request.dialect]
    if _holds(fields, (member,), signs):
        needs.add("vision")
    members, signs = _SCHEMAS[request.dialect]
    if _holds(fields, members, signs):
        needs.add("json_schema")
    return frozenset(needs)


def _holds(fields: Fields, members: tuple[str, ...], signs: tuple[bytes, ...]) -> bool:
    raws = [bytes(fields[name]) for name in members if name in fields]
    return any(sign in raw for raw in raws for sign in signs)
