import json

import pytest

from hypereal.wire.images import BODY_BYTES_MIN, NONE, InlineImages, inline_images
from hypereal.wire.members import parse

DATA = "A" * 1000
URL = f"data:image/png;base64,{DATA}"
BIG = BODY_BYTES_MIN + 1


def count(member: str, value: object, size_bytes: int = BIG) -> InlineImages:
    return inline_images(parse(json.dumps({member: value}).encode()), member, size_bytes)


@pytest.mark.parametrize(
    ("member", "part"),
    [
        ("messages", {"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}),
        ("input", {"role": "user", "content": [{"type": "input_image", "image_url": URL}]}),
        ("input", {"type": "function_call_output", "output": [{"type": "input_image", "image_url": URL}]}),
        ("messages", {"content": [{"type": "image", "source": {"media_type": "image/png", "data": DATA}}]}),
        (
            "messages",
            {"content": [{"content": [{"type": "image", "source": {"media_type": "image/png", "data": DATA}}]}]},
        ),
        ("contents", {"parts": [{"inlineData": {"mimeType": "image/png", "data": DATA}}]}),
    ],
)
def test_an_image_is_found_where_its_dialect_has_it(member: str, part: object) -> None:
    found = count(member, [part, {"role": "user", "content": "text"}])
    assert found.number == 1
    assert len(DATA) <= found.size_bytes <= len(URL) + 2


@pytest.mark.parametrize(
    "part",
    [
        {"content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
        {"content": [{"type": "document", "source": {"media_type": "application/pdf", "data": DATA}}]},
        {"content": f"the text {URL}"},
        {"content": [{"type": "text", "text": URL}]},
    ],
)
def test_what_is_no_inline_image_counts_by_its_bytes(part: object) -> None:
    assert count("messages", [part]) == NONE


def test_small_bodies_are_not_looked_at() -> None:
    part = {"content": [{"type": "image_url", "image_url": {"url": URL}}]}
    assert count("messages", [part], BODY_BYTES_MIN) == NONE


@pytest.mark.parametrize("value", ["text", [1], [[]], [{"content": [1]}], [{"image_url": {"media_type": 5}}]])
def test_unknown_shapes_count_as_none(value: object) -> None:
    assert count("messages", value) == NONE
