"""Content blocks that a user sends, as parts of a chat message."""

from typing import Any

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.bridges import chat_requests as chat
from hypereal.wire.folding.decoding import mapping

DEPTH_MAX = 4
"""Documents may hold blocks."""


def content_parts(block: dict[str, Any], depth: int = DEPTH_MAX) -> list[dict[str, Any]]:
    """BLOCK as parts of a chat message; none where it only concerns tools of the vendor's. Raises InvalidRequest."""
    match block.get("type"):
        case "text":
            return [chat.text_part(chat.require_text(block.get("text"), "messages.content.text"))]
        case "image":
            return [_image(mapping(block.get("source")))]
        case "document":
            return _document(block, depth)
        case "search_result":
            head = [str(block[name]) for name in ("title", "source") if isinstance(block.get(name), str)]
            return [chat.text_part("\n".join(head)), *_nested(block.get("content"), depth)]
        case "tool_reference":
            return [chat.text_part(f"The tool {block.get('tool_name')} can be used now.")]
        case str(kind) if is_of_vendors_tools(kind):
            return []
        case kind:
            raise not_carried(f"messages.content.{str(kind)[:40]}")


def is_of_vendors_tools(kind: str) -> bool:
    """Whether a block of this kind tells of a tool that Anthropic ran itself: another vendor cannot make use of it."""
    return kind.startswith(("server_tool_", "mcp_tool_")) or (kind.endswith("_tool_result") and kind != "tool_result")


def not_carried(name: str) -> InvalidRequest:
    """The refusal of what only Anthropic's own models are served with."""
    return InvalidRequest(
        f"'{name}' cannot be served for this model, which only speaks OpenAI's format: leave it out, or use a Claude "
        "model on /v1/messages.",
        param=name.partition(".")[0],
    )


def _image(source: dict[str, Any]) -> dict[str, Any]:
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": str(data)} if media_type.startswith("image/"):
            return chat.image_part(f"data:{media_type};base64,{data}")
        case {"type": "url", "url": str(url)}:
            return chat.image_part(url)
    raise not_carried("messages.content.image.source")


def _document(block: dict[str, Any], depth: int) -> list[dict[str, Any]]:
    title = block.get("title")
    named = title if isinstance(title, str) else ""
    head = [text for text in (named, block.get("context")) if isinstance(text, str) and text]
    match block.get("source"):
        case {"type": "text", "data": str(text)}:
            return [chat.text_part("\n".join([*head, text]))]
        case {"type": "content", "content": str(text)}:
            return [chat.text_part("\n".join([*head, text]))]
        case {"type": "content", "content": list(blocks)}:
            return [*([chat.text_part("\n".join(head))] if head else []), *_nested(blocks, depth)]
        case {"type": "base64", "media_type": "application/pdf", "data": str(data)}:
            made = chat.media_part("application/pdf", data, named)
            return [] if made is None else [made]
    raise not_carried("messages.content.document.source")


def _nested(blocks: Any, depth: int) -> list[dict[str, Any]]:
    if depth == 0:
        raise InvalidRequest("'messages': blocks are nested too deeply.", param="messages")
    return [
        part
        for block in chat.require_objects(blocks, "messages.content.content")
        for part in content_parts(block, depth - 1)
    ]
