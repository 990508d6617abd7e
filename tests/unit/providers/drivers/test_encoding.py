"""Bodies as they go on the wire."""

from email.parser import BytesParser

import pytest

from hypereal.providers.drivers.encoding import base64_of, bytes_of, data_url, form_body, json_body


def test_json_leaves_out_what_was_not_asked_for() -> None:
    assert json_body({"a": 1, "b": None, "c": False, "d": 0, "e": ""}) == b'{"a":1,"c":false,"d":0,"e":""}'


def test_a_form_is_read_by_others() -> None:
    content = bytes(range(256)) * 3
    content_type, body = form_body([("model", "größe"), ("image[]", ("a.png", "image/png", content)), ("n", "1")])
    read = BytesParser().parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    parts = {str(part.get_param("name", header="content-disposition")): part for part in read.get_payload()}  # type: ignore[union-attr]
    assert parts["model"].get_payload(decode=True) == "größe".encode()
    assert parts["image[]"].get_payload(decode=True) == content
    assert parts["image[]"].get_filename() == "a.png"
    assert parts["image[]"].get_content_type() == "image/png"


def test_the_same_form_is_the_same_bytes_and_another_is_not() -> None:
    assert form_body([("a", "1")]) == form_body([("a", "1")])
    assert form_body([("a", "1")]) != form_body([("a", "2")])


def test_a_text_cannot_end_its_part() -> None:
    content_type, body = form_body([("a", "\r\n--hypereal-0\r\nx")])
    boundary = content_type.partition("boundary=")[2].encode()
    assert body.count(b"--" + boundary) == 2


@pytest.mark.parametrize("name", ['a"b', "a\r\nx: y", "", "a\\b"])
def test_a_name_that_would_break_the_head_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        form_body([(name, "x")])
    with pytest.raises(ValueError, match="cannot have"):
        form_body([("ok", (name, "image/png", b""))])
    with pytest.raises(ValueError, match="cannot have"):
        form_body([("ok", ("a.png", name, b""))])


def test_base64_goes_there_and_back() -> None:
    assert bytes_of(base64_of(b"\0\xff")) == b"\0\xff"
    assert bytes_of(data_url(b"\0\xff", "image/png")) == b"\0\xff"


@pytest.mark.parametrize("text", ["", "!!!", "abc", "data:image/png;base64,"])
def test_what_is_no_base64_is_none(text: str) -> None:
    assert bytes_of(text) is None
