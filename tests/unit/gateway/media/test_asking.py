"""What callers write, in the shapes that clients send it."""

import json

import pytest

from hypereal.gateway.media.asking import read_wish
from hypereal.kit.errors import InvalidRequest


def wish(**body):
    return read_wish(json.dumps({"model": "m", **body}).encode())


def test_what_stands_under_input_counts_unless_it_stands_beside_it_too():
    read = wish(
        prompt="outer", input={"prompt": "inner", "duration": "5s", "aspectRatio": "16:9", "negative_prompt": "x"}
    )
    assert (read.prompt, read.duration_s, read.aspect_ratio) == ("outer", 5, "16:9")
    assert read.extra == {"negative_prompt": "x"}


@pytest.mark.parametrize(
    "body",
    [
        {"image": "https://a/1"},
        {"image": ["https://a/1"]},
        {"image_url": {"url": "https://a/1"}},
        {"image_urls": ["https://a/1", "https://a/1"]},
        {"imageUrl": "https://a/1"},
        {"reference_images": [{"image_url": {"url": "https://a/1"}}]},
        {"image_url": "https://a/1", "image": "https://a/1"},
    ],
)
def test_a_picture_is_found_by_any_of_its_names_and_once(body):
    assert wish(prompt="p", **body).references == ("https://a/1",)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ["p"]}, "prompt"),
        ({"prompt": "p", "n": 1.5}, "n"),
        ({"prompt": "p", "n": True}, "n"),
        ({"prompt": "p", "duration": -1}, "duration"),
        ({"prompt": "p", "seed": "x"}, "seed"),
        ({"prompt": "p", "image": 5}, "image"),
        ({"prompt": "p", "image_urls": ["file:///etc/passwd"]}, "image_urls"),
        ({"prompt": "p", "image_urls": ["https://a/1"] * 33}, "image_urls"),
        ({"prompt": "p", "webhookUrl": 5}, "webhookUrl"),
        ({"prompt": "p", "input": []}, "input"),
        ({"model": 5}, "model"),
    ],
)
def test_what_cannot_be_read_is_named(body, field):
    with pytest.raises(InvalidRequest) as refused:
        wish(**body)
    assert refused.value.param == field


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"a": "\\ud800"}', b'{"prompt": "a\\u0000"}', b"[" * 5000, b"\xff"]
)
def test_what_is_no_json_object_is_refused(raw):
    with pytest.raises(InvalidRequest):
        read_wish(raw)


def test_tags_are_cut_to_their_bounds():
    read = wish(prompt="p", user="u" * 300, metadata={"a": "b" * 300, "c": 5})
    assert (len(read.user or ""), read.metadata) == (256, {"a": "b" * 256})
    assert wish(prompt="p", metadata="x").metadata is None
